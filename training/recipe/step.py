"""One training step: batch, forward, backward, update, metric sums; no host synchronisation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data.order import TrainingBatches
from training.recipe.metrics import Metrics
from training.recipe.objective import Objective, Outputs, cross_entropy
from training.recipe.optimizer import FlatOptimizer


class Hook:
    """Callbacks at fixed points of a step; by default they do nothing."""

    def before_forward(self) -> None:
        """Run after the batch is drawn."""

    def after_backward(self) -> None:
        """Run before the optimizer updates the weights."""

    def after_update(self) -> None:
        """Run after the optimizer has updated the weights."""


@dataclass
class Step:
    """The training step of a run, with the state it works on.

    Called with the size of the next batch. Everything that persists across steps stays on the
    device at the same address, so the step can run eagerly or captured in a CUDA graph.

    Attributes:
        metrics: sums over the training batches.
        bf16: whether convolutions and matrix products run in bfloat16 (master weights,
            normalisation statistics and loss stay in float32).
        objective: the objective to minimise.
        tensors: every tensor that a call changes.
    """

    model: nn.Module
    optimizer: FlatOptimizer
    batches: TrainingBatches
    metrics: Metrics
    bf16: bool
    objective: Objective = cross_entropy
    hooks: Sequence[Hook] = ()
    tensors: Sequence[Tensor] = ()

    def __call__(self, size: int) -> None:
        images, labels = self.draw(size)
        for hook in self.hooks:
            hook.before_forward()
        self.learn(forward(self.model, images, self.bf16), labels)
        for hook in self.hooks:
            hook.after_backward()
        self.update()
        for hook in self.hooks:
            hook.after_update()

    def draw(self, size: int) -> tuple[Tensor, Tensor]:
        """Return the next batch: float images (size, 3, H, W), labels (size,)."""
        return self.batches.next(size)

    def learn(self, outputs: Outputs, labels: Tensor) -> None:
        """Compute the loss, backpropagate, and add the batch to the metrics."""
        loss, logits = self.objective(outputs, labels)
        loss.backward()
        self.metrics.add(loss.detach(), logits.detach(), labels)

    def update(self) -> None:
        """Update the weights with the optimizer."""
        self.optimizer.update()


def forward(model: nn.Module, images: Tensor, bf16: bool) -> Any:
    """Run the network, in bfloat16 autocast if `bf16`: logits (N, classes), followed in training
    mode by any extra outputs."""
    if not bf16:
        return model(images)
    with torch.autocast(images.device.type, torch.bfloat16):
        return model(images)
