"""Which samples a training iteration takes, the same for every kind of data set; what a training
run asks of its batches."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from torch import Tensor

EVERYTHING = slice(None)


class DataError(Exception):
    """A dataset is missing, damaged or not the one it claims to be."""


class Spans:
    """Which samples an iteration takes, counted from the start of training.

    Args:
        count: training images of an epoch.
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


class TrainingBatches(Spans, ABC):
    """Random training batches on a device, a pure function of seed and iteration.

    The sequence is cut into segments (the iterations between two evaluations): `begin` starts one,
    then `fetch` and `next` take turns. `next` can be captured in a CUDA graph. It is a part of a
    run, too (see `training.recipe.part`); what only some kinds of batches have is nothing here.

    Attributes:
        mean, scale: see `data.arrays.augment.normalise`.
    """

    mean: Tensor
    scale: Tensor

    @abstractmethod
    def begin(self, first: int, last: int) -> None:
        """Start the segment of iterations `first` to `last` - 1, an epoch at most."""

    def fetch(self, size: int) -> None:
        """Bring the next batch, of `size` samples over all processes, to the device."""

    @abstractmethod
    def next(self, size: int, share: slice = EVERYTHING) -> tuple[Tensor, Tensor]:
        """The next batch, or only a share of it: images float32 (n, 3, H, W), labels int64 (n,)."""

    def share_skipped(self, union: Callable[[set[int], int], set[int]]) -> None:
        """Exchange which images were skipped with the other processes of a run."""

    def facts(self) -> dict[str, int]:
        """What a record says of how the batches were read."""
        return {}

    def state(self) -> list[int]:
        """What a checkpoint keeps: the images skipped so far."""
        return []

    def load(self, state: list[int]) -> None:
        """Go on from what `state` gave."""

    def tensors(self) -> list[Tensor]:
        """Every tensor that `next` changes, and nobody overwrites before the next call."""
        return []


def iterations_per_epoch(images: int, batch: int) -> int:
    """Batches in an epoch, the short one included."""
    return -(-images // batch)


def derived_seed(*numbers: int) -> int:
    """A seed for PyTorch from several numbers, unlike that of any others."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return int(state) & (2**63 - 1)
