"""The learning rate as it is lowered when the error stops falling."""

import torch

# Errors of less than this part below the lowest so far are no fall: that of an epoch is noisy.
THRESHOLD = 0.01


class Plateau:
    """How often the rate was lowered: "divided by 10 when the error plateaus" (He et al. 2015,
    Section 3.4).

    The paper says neither which error nor for how long. Ours is that of training, over an epoch,
    so that no test image has a say. When more than `patience` epochs in a row were not clearly
    below the lowest, the rate drops and the count starts again.

    Attributes:
        counts: float64 (3,): the lowest error in percent, epochs since, drops so far.
    """

    def __init__(self, patience: int):
        self.patience = patience
        self.counts = torch.tensor([torch.inf, 0, 0], dtype=torch.float64)

    @property
    def drops(self) -> int:
        """How often the rate was lowered so far."""
        return int(self.counts[2])

    def note(self, error: float) -> None:
        """Take note of an epoch's training error in percent."""
        lowest, waited, drops = self.counts.tolist()
        if error < lowest * (1 - THRESHOLD):
            lowest, waited = error, 0
        else:
            waited += 1
        if waited > self.patience:
            waited, drops = 0, drops + 1
        self.counts.copy_(torch.tensor([lowest, waited, drops], dtype=torch.float64))
