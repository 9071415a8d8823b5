"""Training batches of a folder tree, decoded by worker processes: a pure function of seed and
iteration, whatever the number of workers."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.utils.data import Dataset

from data.order import DataError, Spans, TrainingBatches, derived_seed
from data.photographs import colour
from data.photographs.photographs import View, read_image, test_view
from data.photographs.tree import Tree
from data.photographs.workers import delivered, make_loader

Key = tuple[int, int]  # epoch and image
AGAIN_SECONDS = 0.2  # before a worker reads an image once more,
LATER_SECONDS = 1.0  # and before the training process does, which then has the last word
IN_A_ROW = 1000  # images that cannot be read, after which it is not the images
TOGETHER = 25  # images decoded as one batch, for testing
WHOLE = -1  # index of the damaged image if there is none
SKIP = "Or leave damaged training images out with damaged=skip."


class Views(Dataset[tuple[Tensor, int, int]]):
    """Views of the images of a tree: a pure function of seed, epoch and index.

    An item is a view, uint8 (3, H, W), its label, and the index of a damaged image or `WHOLE`. A
    damaged image is replaced by the next intact one; one that cannot be read at first, as happens
    on network storage, is read once more.
    """

    def __init__(self, tree: Tree, view: View, seed: int):
        self.tree, self.view, self.seed = tree, view, seed

    def __len__(self) -> int:
        return len(self.tree)

    def __getitem__(self, key: Key) -> tuple[Tensor, int, int]:
        index = key[1]
        damaged = WHOLE
        for step in range(min(len(self.tree), IN_A_ROW)):
            chosen = (index + step) % len(self.tree)
            try:
                image = read_image(self.tree, chosen, 0 if step else AGAIN_SECONDS)
            except DataError:
                damaged = index if damaged == WHOLE else damaged
                continue
            with torch.random.fork_rng([]):
                # `torch.manual_seed` would also queue a call for a GPU that workers never use.
                torch.default_generator.manual_seed(derived_seed(self.seed, *key))
                return self.view(image), int(self.tree.labels[chosen]), damaged
        raise DataError(f"{self.tree.path(index)} and all after it cannot be read.")


class Order(Spans):
    """Batch sampler: yields the next batches as lists of keys.

    Every image comes once per epoch, in an order drawn for that epoch. Batches are made one at a
    time, because an epoch of ImageNet has over a million keys.

    Args:
        share: the samples of a batch that this process takes, given the batch size.

    Attributes:
        iterations: iterations whose batches come next.
    """

    def __init__(
        self, count: int, batch: int, wrap: bool, *, seed: int, share: Callable[[int], slice]
    ):
        super().__init__(count, batch, wrap)
        self.share, self.iterations = share, range(0)
        self.epoch = lru_cache(maxsize=2)(
            lambda epoch: torch.randperm(
                count, generator=torch.Generator().manual_seed(derived_seed(seed, epoch))
            )
        )

    def __iter__(self) -> Iterator[list[Key]]:
        return map(self.keys, self.iterations)

    def __len__(self) -> int:
        return len(self.iterations)

    def keys(self, iteration: int) -> list[Key]:
        """Keys of this process's share of an iteration's batch."""
        samples = range(*self.span(iteration))
        return [self.key(sample) for sample in samples[self.share(len(samples))]]

    def key(self, sample: int) -> Key:
        """Epoch and image of a sample, counted from the start of training."""
        epoch, place = divmod(sample, self.count)
        return epoch, int(self.epoch(epoch)[place])


class Stream(TrainingBatches):
    """Random training batches of a tree.

    `begin` starts the workers on a segment of iterations, `fetch` copies the next batch to the
    device, `next` augments it there.

    Args:
        tree: the training images.
        view: crop and flip of one image.
        kind: colour augmentation, see `data.photographs.colour.Recolour`.
        mean: float32 (3,), subtracted.
        scale: float32 (3,), multiplied after that.
        workers: number of worker processes; 0 decodes in this process.
        damaged: what to do with damaged images, `stop` or `skip`.
        share: the samples of a batch that this process takes, given the batch size.
    """

    def __init__(
        self,
        tree: Tree,
        view: View,
        *,
        size: int,
        kind: str,
        mean: Tensor,
        scale: Tensor,
        batch: int,
        wrap: bool,
        seed: int,
        workers: int,
        damaged: str,
        share: Callable[[int], slice] = slice,
    ):
        super().__init__(len(tree), batch, wrap)
        self.tree, self.seed, self.damaged = tree, seed, damaged
        self.mean, self.scale = mean, scale
        self.recolour = colour.Recolour(kind, mean.device)
        self.share = share
        self.skipped: set[int] = set()
        # No reference back to the stream: without a cycle, the workers end when it is dropped.
        self.order = Order(len(tree), batch, wrap, seed=seed, share=self.share)
        self.loader = make_loader(
            Views(tree, view, seed), workers, batch_sampler=self.order,
            pin_memory=mean.device.type == "cuda",
        )  # fmt: skip
        self.arriving: Iterator[tuple[Tensor, Tensor, Tensor]] = iter(())
        device = mean.device
        self.images = torch.zeros(batch, 3, size, size, dtype=torch.uint8, device=device)
        self.labels = torch.zeros(batch, dtype=torch.int64, device=device)
        self.drawn = torch.zeros(batch, colour.DRAWN, device=device)
        self.iteration = 0

    def begin(self, first: int, last: int) -> None:
        self.order.iterations = range(first, last)
        self.iteration = first
        self.arriving = delivered(self.loader)

    def fetch(self, size: int) -> None:
        """Copy the next batch to the device; errors as in `note`."""
        images, labels, damaged = next(self.arriving)
        self.note(damaged[damaged != WHOLE].tolist())
        drawn = colour.draw(size, seed=derived_seed(self.seed, self.iteration, 1))
        drawn = drawn[self.share(size)]
        for place, value in ((self.images, images), (self.labels, labels), (self.drawn, drawn)):
            place[: len(value)].copy_(value, non_blocking=True)
        self.iteration += 1

    def next(self, size: int) -> tuple[Tensor, Tensor]:
        n = len(range(size)[self.share(size)])
        images = self.images[:n].permute(0, 2, 3, 1).float()
        images = self.recolour(images, self.drawn[:n])
        images = (images - self.mean) * self.scale
        return images.permute(0, 3, 1, 2), self.labels[:n]

    def note(self, damaged: Sequence[int]) -> None:
        """Record images to skip, for which a worker has put others into the batch.

        Raises:
            DataError: one is damaged, and damaged images are to `stop` the run.
            OSError: one is not, which only the last checkpoint can put right.
        """
        for index in damaged:
            if index in self.skipped and self.damaged == "skip":
                continue
            path = self.tree.path(index)
            try:
                read_image(self.tree, index, LATER_SECONDS)
            except DataError as error:
                if self.damaged == "stop":
                    raise DataError(f"{error}\n{SKIP}") from None
            else:
                raise OSError(f"{path} could not be read, and now it can")
            print(f"Left out: {path} is damaged.", file=sys.stderr)
            self.skipped.add(index)

    def share_skipped(self, union: Callable[[set[int], int], set[int]]) -> None:
        self.skipped = union(self.skipped, self.count)

    def facts(self) -> dict[str, int]:
        return {"damaged": len(self.skipped)}

    def state(self) -> list[int]:
        return sorted(self.skipped)

    def load(self, state: list[int]) -> None:
        self.skipped |= set(state)


def decode_all(tree: Tree, size: int, workers: int) -> Tensor:
    """Decode the centre crops of all images of a tree, uint8 (N, size, size, 3).

    Raises:
        DataError: an image is damaged.
    """
    view, count = test_view(size), len(tree)
    # In batches: one by one they would wait for the process that collects them.
    keys = [
        [(0, index) for index in range(first, min(first + TOGETHER, count))]
        for first in range(0, count, TOGETHER)
    ]
    loader = make_loader(Views(tree, view, 0), workers, batch_sampler=keys)
    images = torch.empty(count, size, size, 3, dtype=torch.uint8)
    first = 0
    for some, _, damaged in delivered(loader):
        images[first : first + len(some)] = some.permute(0, 2, 3, 1)
        for index in damaged[damaged != WHOLE].tolist():  # of another image, until it can be read
            images[index] = view(read_image(tree, index, LATER_SECONDS)).permute(1, 2, 0)
        first += len(some)
    return images
