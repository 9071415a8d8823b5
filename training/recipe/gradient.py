"""Magnitude of the gradient at a network's first block (Huang et al. 2016, Fig. 7)."""

from torch import nn

from training.recipe.optimizer import FlatSGD


class GradientMagnitude:
    """Mean magnitude of the gradient at the first convolution of a network's first block (Huang et
    al. 2016, Section 5), in the last step.

    It is read from the optimizer's storage, so that it costs the steps nothing.
    """

    def __init__(self, model: nn.Module, optimizer: FlatSGD):
        convolutions = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d)]
        # The first convolution is the stem.
        self.gradient = optimizer.gradient[f"{convolutions[:2][-1]}.weight"]

    def last(self) -> float:
        """Magnitude at the last step, excluding weight decay; 0 if that step skipped the block."""
        return float(self.gradient.abs().double().mean())
