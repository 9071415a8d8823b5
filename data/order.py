"""Which samples a training iteration takes, the same for every kind of data set; what a training
run asks of its batches."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from torch import Tensor

EVERYTHING = slice(None)


class DataError(Exception):
    """A dataset is missing, damaged or not the one it claims to be."""


class TrainingBatches(Protocol):
    """Random training batches on a device, a pure function of seed and iteration.

    The sequence is cut into segments (the iterations between two evaluations): `begin` starts one,
    then `fetch` and `next` take turns. `next` can be captured in a CUDA graph.

    Attributes:
        count: training images of an epoch.
        can_be_gathered: whether the whole set lies on the device and a kernel can make the batches.
        mean, scale: see `data.arrays.augment.normalise`.
    """

    count: int
    can_be_gathered: bool
    mean: Tensor
    scale: Tensor

    def span(self, iteration: int) -> tuple[int, int]:
        """First and last + 1 sample of an iteration, counted from the start of training."""

    def size(self, iteration: int) -> int:
        """Samples in the batch of an iteration."""

    def begin(self, first: int, last: int) -> None:
        """Start the segment of iterations `first` to `last` - 1."""

    def fetch(self, size: int) -> None:
        """Bring the next batch to the device, where it is not there anyhow."""

    def next(self, size: int, share: slice = EVERYTHING) -> tuple[Tensor, Tensor]:
        """The next batch, or only a share of it: images float32 (n, 3, H, W), labels int64 (n,)."""

    def share_skipped(self, union: Callable[[set[int], int], set[int]]) -> None:
        """Exchange which images were skipped with the other processes of a run."""

    def facts(self) -> dict[str, int]:
        """What a record says of how the batches were read."""

    def state(self) -> Any:
        """What a checkpoint keeps."""

    def load(self, state: Any) -> None:
        """Go on from what `state` gave."""

    def tensors(self) -> list[Tensor]:
        """Every tensor that `next` changes."""


class Spans:
    """Which samples an iteration takes, counted from the start of training.

    Args:
        count: training images.
        wrap: whether batches run on across the end of an epoch (as in Caffe) or the last batch of
            an epoch is short (as in Torch).
    """

    def __init__(self, count: int, batch: int, wrap: bool):
        self.count, self.batch, self.wrap = count, batch, wrap

    def span(self, iteration: int) -> tuple[int, int]:
        """First and last + 1 sample of an iteration."""
        if self.wrap:
            return iteration * self.batch, (iteration + 1) * self.batch
        epoch, step = divmod(iteration, iterations_per_epoch(self.count, self.batch))
        first = epoch * self.count + step * self.batch
        return first, min(first + self.batch, (epoch + 1) * self.count)

    def size(self, iteration: int) -> int:
        """Samples in the batch of an iteration."""
        first, last = self.span(iteration)
        return last - first


def iterations_per_epoch(images: int, batch: int) -> int:
    """Batches in an epoch, the short one included."""
    return -(-images // batch)


def derived_seed(*numbers: int) -> int:
    """A seed for PyTorch from several numbers, unlike that of any others."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return int(state) & (2**63 - 1)
