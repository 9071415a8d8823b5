"""Loss and error of a network on a set of images (single view)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data.arrays.augment import normalise
from training.recipe.metrics import Metrics
from training.recipe.step import forward

BATCH, PIXELS = 500, 100 * 224 * 224  # most images, and pixels, of a batch


@dataclass
class Evaluation:
    """Evaluation batch by batch, which can be captured in a CUDA graph.

    Attributes:
        images, labels: uint8 or float32 (N, H, W, 3) and int64 (N,), anywhere: of photographs there
            are more than fit on most GPUs beside a network that trains.
        mean, scale: see `data.arrays.augment.normalise`, on the network's device.
        metrics: sums over the images so far.
        tensors: every tensor that a call changes.
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    mean: Tensor
    scale: Tensor
    bf16: bool

    def __post_init__(self) -> None:
        device, shape = self.mean.device, self.images.shape[1:]
        self.batch = min(BATCH, len(self.images), max(1, PIXELS // (shape[0] * shape[1])))
        self.metrics = Metrics(device)
        self.window = torch.zeros(self.batch, *shape, dtype=self.images.dtype, device=device)
        self.window_labels = torch.zeros(self.batch, dtype=torch.int64, device=device)
        self.tensors: Sequence[Tensor] = [self.metrics.sums]

    def start(self) -> Iterator[int]:
        """Put the network in evaluation mode, and iterate over the sizes of the batches: each is
        copied to where a call reads it."""
        self.metrics.sums.zero_()
        self.model.eval()
        for first in range(0, len(self.images), self.batch):
            images = self.images[first : first + self.batch]
            labels = self.labels[first : first + self.batch]
            self.window[: len(images)].copy_(images, non_blocking=True)
            self.window_labels[: len(images)].copy_(labels, non_blocking=True)
            yield len(images)

    @torch.no_grad()
    def __call__(self, size: int) -> None:
        images = normalise(self.window[:size], mean=self.mean, scale=self.scale)
        labels = self.window_labels[:size]
        logits = forward(self.model, images, self.bf16).float()
        self.metrics.add(F.cross_entropy(logits, labels), logits, labels)


def evaluate(
    model: nn.Module, images: Tensor, labels: Tensor, *, mean: Tensor, scale: Tensor, bf16: bool
) -> tuple[float, float]:
    """Loss and top-1 error in percent of a network on uint8 or float32 images (N, H, W, 3)."""
    evaluation = Evaluation(model, images, labels, mean, scale, bf16)
    for size in evaluation.start():
        evaluation(size)
    return evaluation.metrics.mean()
