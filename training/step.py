"""One training step: batch, forward, backward, update, metric sums; no host synchronisation."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data.batches import Batches
from data.stream import Stream
from training.gates import Gates
from training.magnitude import Magnitude
from training.optimizer import FlatSGD

# Columns of the metric sums.
LOSS, WRONG, SEEN = range(3)


@dataclass
class Step:
    """The step of one run, as an object that holds what it works on.

    Called with the size of the next batch. Everything that outlives a step stays on the device and
    keeps its address, so the same function runs eagerly or captured in a CUDA graph.

    Attributes:
        sums: float64 (3,): loss times samples, wrong predictions, samples, since last zeroed.
        bf16: whether convolutions and matrix products run in bfloat16 (master weights,
            normalisation statistics and loss stay in float32).
        gates: those of stochastic depth, where closed branches are computed nevertheless.
        magnitude: of the first convolution's gradient, where it is asked for.
    """

    model: nn.Module
    optimizer: FlatSGD
    batches: Batches | Stream
    sums: Tensor
    bf16: bool = False
    gates: Gates | None = None
    magnitude: Magnitude | None = None

    def __call__(self, size: int) -> None:
        images, labels = self.draw(size)
        if self.gates is not None:
            self.gates.begin()
        self.learn(forward(self.model, images, self.bf16), labels)
        if self.gates is not None:
            self.gates.end()
        self.update()
        if self.magnitude is not None:
            self.magnitude.add()

    def update(self) -> None:
        """Let the optimizer change the weights."""
        self.optimizer.update()

    def draw(self, size: int) -> tuple[Tensor, Tensor]:
        """The next batch: images float (size, 3, H, W), labels (size,)."""
        return self.batches.next(size)

    def learn(self, logits: Tensor, labels: Tensor) -> None:
        """Take the loss, add the batch to the metric sums, and let the gradients flow back."""
        logits = logits.float()
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        add_metrics(self.sums, loss.detach(), logits.detach(), labels)

    def tensors(self) -> list[Tensor]:
        """Every tensor that a call changes."""
        gates = [] if self.gates is None else self.gates.tensors()
        magnitude = [] if self.magnitude is None else [self.magnitude.sums]
        own = [self.sums, self.batches.position, *gates, *magnitude]
        return [*self.optimizer.tensors(), *self.model.buffers(), *own]


def forward(model: nn.Module, images: Tensor, bf16: bool) -> Tensor:
    """Logits (N, classes), in bfloat16 with `bf16`."""
    if not bf16:
        return model(images)
    with torch.autocast(images.device.type, torch.bfloat16):
        return model(images)


def add_metrics(sums: Tensor, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
    """Add a batch to the metric sums; `loss` is its mean."""
    sums[LOSS] += loss.double() * len(labels)
    sums[WRONG] += (logits.argmax(1) != labels).sum()
    sums[SEEN] += len(labels)
