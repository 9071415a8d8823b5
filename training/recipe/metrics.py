"""Loss and error, summed on the device without host synchronisation."""

import math

import torch
from torch import Tensor

LOSS, WRONG, SEEN = range(3)


class Metrics:
    """Sums over batches since they were last zeroed.

    Attributes:
        sums: float64 (3,): loss times samples, wrong predictions, samples.
    """

    def __init__(self, device: torch.device):
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch; `loss` is its mean loss."""
        self.sums[LOSS] += loss.double() * len(labels)
        self.sums[WRONG] += (logits.argmax(1) != labels).sum()
        self.sums[SEEN] += len(labels)

    def mean(self) -> tuple[float, float]:
        """Mean loss, and error in percent."""
        values = self.sums.tolist()
        return values[LOSS] / values[SEEN], 100 * values[WRONG] / values[SEEN]

    def take(self) -> tuple[float, float]:
        """Return `mean` and reset the sums."""
        means = self.mean()
        self.sums.zero_()
        return means

    def is_finite(self) -> bool:
        """Whether the loss has been finite so far."""
        return math.isfinite(float(self.sums.sum()))
