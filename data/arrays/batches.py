"""Training batches on a device: an endless sequence that depends on seed and iteration only."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from data.arrays.augment import INDEX, crop_and_flip, draw_epoch
from data.order import TrainingBatches


class Batches(TrainingBatches):
    """Random training batches of a data set held entirely on the device.

    `begin` draws a segment on the CPU and copies its plan to the device at once; `next` then reads
    the plan at a position kept on the device.

    Args:
        images: uint8 or float32 (N, H, W, 3).
        labels: int64 (N,).
        mean, scale, border: see `data.arrays.augment.crop_and_flip`.
        batch, wrap: see `data.order.Spans`.
        an_epoch: images per epoch, a new random selection each time; all by default.
        share: the samples of a batch that this process takes, given the batch size.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        mean: Tensor,
        scale: Tensor,
        batch: int,
        wrap: bool,
        pad: int,
        flip: bool,
        seed: int,
        border: str = "zero",
        an_epoch: int | None = None,
        share: Callable[[int], slice] = slice,
    ):
        super().__init__(len(images) if an_epoch is None else an_epoch, batch, wrap)
        self.images, self.labels = images, labels
        self.mean, self.scale = mean, scale
        self.pad, self.border, self.share = pad, border, share
        self.epoch = lru_cache(maxsize=2)(
            lambda epoch: draw_epoch(len(images), seed=seed, epoch=epoch, pad=pad, flip=flip)
        )
        # Room for an epoch and a batch that crosses its end.
        self.plan = torch.zeros(len(images) + batch, 4, dtype=torch.int64, device=images.device)
        self.position = torch.zeros((), dtype=torch.int64, device=images.device)
        self.lanes = torch.arange(batch, device=images.device)

    def begin(self, first: int, last: int) -> None:
        start, stop = self.span(first)[0], self.span(last - 1)[1]
        rows = self.samples(start, stop)
        self.plan[: len(rows)].copy_(rows)
        self.position.zero_()

    def samples(self, start: int, stop: int) -> Tensor:
        """Plan rows of samples `start` to `stop` - 1, counted from the start of training."""
        pieces = []
        while start < stop:
            epoch, offset = divmod(start, self.count)
            piece = self.epoch(epoch)[: self.count][offset : offset + stop - start]
            pieces.append(piece)
            start += len(piece)
        return torch.cat(pieces)

    def next(self, size: int) -> tuple[Tensor, Tensor]:
        plan = self.plan[self.position + self.lanes[:size][self.share(size)]]
        self.position += size
        images = crop_and_flip(
            self.images, plan, pad=self.pad, mean=self.mean, scale=self.scale, border=self.border
        )
        return images, self.labels[plan[:, INDEX]]

    def tensors(self) -> list[Tensor]:
        """Return the position in the plan."""
        return [self.position]
