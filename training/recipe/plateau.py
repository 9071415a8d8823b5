"""Dropping the learning rate when the error plateaus."""

import torch

# Minimum relative improvement on the lowest error so far: the error of an epoch is noisy.
THRESHOLD = 0.01


class Plateau:
    """Counter of learning rate drops: "divided by 10 when the error plateaus" (He et al. 2015,
    Section 3.4).

    The paper specifies neither which error nor for how long. We use the training error of each
    epoch, so that test images have no influence. After more than `patience` epochs in a row
    without a clear improvement, the rate drops and the count restarts.

    Attributes:
        counts: float64 (3,): lowest error in percent, epochs since, drops so far.
    """

    def __init__(self, patience: int):
        self.patience = patience
        self.counts = torch.tensor([torch.inf, 0, 0], dtype=torch.float64)

    @property
    def drops(self) -> int:
        """Number of drops so far."""
        return int(self.counts[2])

    def note(self, error: float) -> None:
        """Record an epoch's training error in percent."""
        lowest, waited, drops = self.counts.tolist()
        if error < lowest * (1 - THRESHOLD):
            lowest, waited = error, 0
        else:
            waited += 1
        if waited > self.patience:
            waited, drops = 0, drops + 1
        self.counts.copy_(torch.tensor([lowest, waited, drops], dtype=torch.float64))
