"""Loss and error of a network on a set of images (single view)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data.arrays.augment import normalise
from training.recipe.metrics import Metrics
from training.recipe.step import forward

BATCH = 500


@dataclass
class Evaluation:
    """Evaluation batch by batch, which can be captured in a CUDA graph.

    Attributes:
        images, labels: uint8 or float32 (N, H, W, 3) and int64 (N,), on the network's device.
        mean, scale: see `data.arrays.augment.normalise`.
        metrics: sums over the images so far.
        position: index of the next image.
        tensors: every tensor that a call changes.
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    mean: Tensor
    scale: Tensor
    bf16: bool

    def __post_init__(self) -> None:
        device = self.images.device
        self.metrics = Metrics(device)
        self.position = torch.zeros((), dtype=torch.int64, device=device)
        self.lanes = torch.arange(BATCH, device=device)
        self.tensors: Sequence[Tensor] = [self.metrics.sums, self.position]

    @torch.no_grad()
    def __call__(self, size: int) -> None:
        chosen = self.position + self.lanes[:size]
        images = normalise(self.images[chosen], mean=self.mean, scale=self.scale)
        labels = self.labels[chosen]
        logits = forward(self.model, images, self.bf16).float()
        self.metrics.add(F.cross_entropy(logits, labels), logits, labels)
        self.position += size

    def start(self) -> None:
        """Reset to the first image, and put the network in evaluation mode."""
        self.metrics.sums.zero_()
        self.position.zero_()
        self.model.eval()

    def sizes(self) -> list[int]:
        """Batch sizes, in order."""
        whole, rest = divmod(len(self.images), BATCH)
        return [BATCH] * whole + [rest] * (rest > 0)


def evaluate(
    model: nn.Module, images: Tensor, labels: Tensor, *, mean: Tensor, scale: Tensor, bf16: bool
) -> tuple[float, float]:
    """Loss and top-1 error in percent of a network on uint8 or float32 images (N, H, W, 3)."""
    evaluation = Evaluation(model, images, labels, mean, scale, bf16)
    evaluation.start()
    for size in evaluation.sizes():
        evaluation(size)
    return evaluation.metrics.mean()
