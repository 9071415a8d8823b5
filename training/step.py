"""One training step: batch, forward, backward, update, metric sums; no host synchronisation."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data.batches import Batches

# Columns of the metric sums.
LOSS, WRONG, SEEN = range(3)


@dataclass
class Step:
    """The step of one run, as an object that holds what it works on.

    Called with the size of the next batch. Everything that outlives a step stays on the device and
    keeps its address, so the same function runs eagerly or captured in a CUDA graph.

    Attributes:
        sums: float64 (3,): loss times samples, wrong predictions, samples, since last zeroed.
        bf16: whether convolutions and matrix products run in bfloat16 (weights, normalisation
            statistics and loss stay in float32).
        skips: whether the network leaves layers out of some steps. Their weights then have a
            gradient of 0, and still decay and keep their momentum, as in the code of Huang et al.
            2016.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    batches: Batches
    sums: Tensor
    bf16: bool = False
    skips: bool = False

    def __call__(self, size: int) -> None:
        images, labels = self.batches.next(size)
        self.optimizer.zero_grad()
        logits = forward(self.model, images, self.bf16)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        if self.skips:
            self.fill_gradients()
        self.optimizer.step()
        add_metrics(self.sums, loss.detach(), logits.detach(), labels)

    def fill_gradients(self) -> None:
        """Give a gradient of 0 to what took no part in the step."""
        for parameter in self.model.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)


def forward(model: nn.Module, images: Tensor, bf16: bool) -> Tensor:
    """Logits in float32, (N, classes)."""
    if not bf16:
        return model(images)
    with torch.autocast(images.device.type, torch.bfloat16):
        return model(images).float()


def add_metrics(sums: Tensor, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
    """Add a batch to the metric sums; `loss` is its mean."""
    sums[LOSS] += loss.double() * len(labels)
    sums[WRONG] += (logits.argmax(1) != labels).sum()
    sums[SEEN] += len(labels)
