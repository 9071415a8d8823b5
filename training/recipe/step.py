"""One training step: batch, forward, backward, update, metric sums; no host synchronisation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data.order import TrainingBatches
from training.recipe.metrics import Metrics
from training.recipe.objective import Objective, Outputs, cross_entropy
from training.recipe.optimizer import FlatSGD
from training.recipe.part import Part


class Hook:
    """Something that is done at fixed places of a step; by default nothing."""

    def before_forward(self) -> None:
        """After the batch was drawn."""

    def after_backward(self) -> None:
        """Before the optimizer changes the weights."""

    def after_update(self) -> None:
        """When it has."""


@dataclass
class Step:
    """The step of one run, as an object that holds what it works on.

    Called with the size of the next batch. Everything that outlives a step stays on the device and
    keeps its address, so the same function runs eagerly or captured in a CUDA graph.

    Attributes:
        metrics: of the training batches.
        bf16: whether convolutions and matrix products run in bfloat16 (master weights,
            normalisation statistics and loss stay in float32).
        objective: what is minimised.
        parts: everything that a call changes.
    """

    model: nn.Module
    optimizer: FlatSGD
    batches: TrainingBatches
    metrics: Metrics
    bf16: bool
    objective: Objective = cross_entropy
    hooks: Sequence[Hook] = ()
    parts: Sequence[Part] = ()

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
        """The next batch: images float (size, 3, H, W), labels (size,)."""
        return self.batches.next(size)

    def learn(self, outputs: Outputs, labels: Tensor) -> None:
        """Take the loss, add the batch to the metrics, and let the gradients flow back."""
        loss, logits = self.objective(outputs, labels)
        loss.backward()
        self.metrics.add(loss.detach(), logits.detach(), labels)

    def update(self) -> None:
        """Let the optimizer change the weights."""
        self.optimizer.update()

    def tensors(self) -> list[Tensor]:
        """Every tensor that a call changes."""
        return [tensor for part in self.parts for tensor in part.tensors()]


def forward(model: nn.Module, images: Tensor, bf16: bool) -> Any:
    """Logits (N, classes), with extras in training mode where a network has any; in bfloat16 with
    `bf16`."""
    if not bf16:
        return model(images)
    with torch.autocast(images.device.type, torch.bfloat16):
        return model(images)
