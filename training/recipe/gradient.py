"""How large the gradient of the first convolution is (Huang et al. 2016, Fig. 7)."""

import torch
from torch import nn

from training.recipe.optimizer import FlatSGD
from training.recipe.step import Hook

TOTAL, STEPS = range(2)


class GradientMagnitude(Hook):
    """The mean magnitude of the gradient of a network's first convolution, over training steps.

    It is that of the loss alone, without weight decay, and stays on the device.

    Attributes:
        sums: float64 (2,): magnitudes, and steps, since last taken.
    """

    def __init__(self, model: nn.Module, optimizer: FlatSGD):
        convolutions = (n for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
        self.gradient = optimizer.gradient[f"{next(convolutions)}.weight"]
        self.sums = torch.zeros(2, dtype=torch.float64, device=self.gradient.device)

    def after_update(self) -> None:
        """Add that of the step which has just been done."""
        self.sums[TOTAL] += self.gradient.abs().mean()
        self.sums[STEPS] += 1

    def take(self) -> float:
        """The mean over the steps since the last call."""
        total, steps = self.sums.tolist()
        self.sums.zero_()
        return total / steps
