"""How large the gradient is that arrives at a network's first block (Huang et al. 2016, Fig. 7)."""

from torch import nn

from training.recipe.optimizer import FlatSGD


class GradientMagnitude:
    """The mean magnitude of the loss's gradient at the first convolution of a network's first block
    (Huang et al. 2016, Section 5), in the step that was done last.

    It is read where the optimizer has it, so that no step does anything for its sake.
    """

    def __init__(self, model: nn.Module, optimizer: FlatSGD):
        convolutions = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d)]
        # The very first is that of the stem.
        self.gradient = optimizer.gradient[f"{convolutions[:2][-1]}.weight"]

    def last(self) -> float:
        """That of the last step, without weight decay; 0 where it left the block out."""
        return float(self.gradient.abs().double().mean())
