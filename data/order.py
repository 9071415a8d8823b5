"""The samples of each training iteration, for every kind of data set, and the interface of training
batches."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from torch import Tensor

from records.exits import BAD_DATA, UserError


class DataError(UserError):
    """A data set is missing, damaged or not what it claims to be."""

    code = BAD_DATA


class Spans:
    """The samples of each iteration, counted from the start of training.

    Args:
        count: training images per epoch.
        wrap: whether batches continue across the end of an epoch (as in Caffe) or the last batch of
            an epoch is short (as in Torch).
    """

    def __init__(self, count: int, batch: int, wrap: bool):
        self.count, self.batch, self.wrap = count, batch, wrap

    def span(self, iteration: int) -> tuple[int, int]:
        """First sample and last sample + 1 of an iteration."""
        if self.wrap:
            return iteration * self.batch, (iteration + 1) * self.batch
        epoch, step = divmod(iteration, iterations_per_epoch(self.count, self.batch))
        first = epoch * self.count + step * self.batch
        return first, min(first + self.batch, (epoch + 1) * self.count)

    def size(self, iteration: int) -> int:
        """Batch size of an iteration."""
        first, last = self.span(iteration)
        return last - first


class TrainingBatches(Spans, ABC):
    """Random training batches on a device: a pure function of seed and iteration.

    The sequence is divided into segments (the iterations between two evaluations): `begin` starts
    one, then `fetch` and `next` alternate. `next` can be captured in a CUDA graph. Methods that
    only some kinds of batches need do nothing by default.

    Attributes:
        mean, scale: see `data.arrays.augment.normalise`.
    """

    mean: Tensor
    scale: Tensor

    @abstractmethod
    def begin(self, first: int, last: int) -> None:
        """Start the segment of iterations `first` to `last` - 1, at most an epoch."""

    def fetch(self, size: int) -> None:
        """Copy the next batch, of `size` samples over all processes, to the device."""

    @abstractmethod
    def next(self, size: int) -> tuple[Tensor, Tensor]:
        """Return this process's share of the next batch: images float32 (n, 3, H, W), labels int64
        (n,)."""

    def share_skipped(self, union: Callable[[set[int], int], set[int]]) -> None:
        """Combine the skipped images of all processes of a run."""

    def facts(self) -> dict[str, int]:
        """Return facts about reading the batches, for the record."""
        return {}

    def state(self) -> list[int]:
        """Return what a checkpoint keeps: the images skipped so far."""
        return []

    def load(self, state: list[int]) -> None:
        """Restore what `state` returned."""

    def tensors(self) -> list[Tensor]:
        """Return every tensor that `next` changes and that persists until its next call."""
        return []


def iterations_per_epoch(images: int, batch: int) -> int:
    """Batches per epoch, including a short one."""
    return -(-images // batch)


def derived_seed(*numbers: int) -> int:
    """Derive a seed for PyTorch from several numbers, independent of the seeds of others."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return int(state) & (2**63 - 1)
