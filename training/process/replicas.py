"""One run on several processes, a GPU each, as torchrun starts them.

torchrun --nproc-per-node 2 train.py experiment=he2015_residual/table6/resnet110

Every process holds the whole run and trains on its share of each batch; gradients are averaged by
one collective over the flat gradient. The statistics of normalisation are those of a share, as in
the papers, whose batches lay on two GPUs and more; the first process's are kept. It alone writes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from training.settings.types import ConfigError


@dataclass
class Replicas:
    """The processes of a run.

    Attributes:
        rank: number of this process.
        count: of all.
        local: number of this process on its machine, and of its GPU.
    """

    rank: int
    count: int
    local: int
    begun: bool = False

    def share(self, size: int) -> slice:
        """The part of a batch that is this process's: all parts together are the batch."""
        return slice(self.rank * size // self.count, (self.rank + 1) * size // self.count)

    def device(self, name: str) -> str:
        """The device of this process, where a setting leaves it open."""
        if name not in ("auto", "cuda"):
            return name
        return f"cuda:{self.local}" if torch.cuda.is_available() else name

    def add(self, tensor: Tensor) -> None:
        """Put the sum over all processes in a tensor's place."""
        dist.all_reduce(tensor)

    def agree(self, flag: bool) -> bool:
        """Whether any process says so."""
        said = torch.tensor(float(flag))
        dist.all_reduce(said, dist.ReduceOp.MAX)
        return bool(said)

    def union(self, indices: set[int], count: int) -> set[int]:
        """All that any process has found among 0 to `count` - 1."""
        marks = torch.zeros(count)
        marks[sorted(indices)] = 1
        dist.all_reduce(marks)
        return set(marks.nonzero().flatten().tolist())

    def copy_first(self, tensors: list[Tensor]) -> None:
        """Give all processes the first one's tensors."""
        for tensor in tensors:
            dist.broadcast(tensor, 0)

    def begin(self, go: bool = True) -> bool:
        """Whether there is anything to train: the first process decides, the others wait."""
        self.begun = True
        said = torch.tensor(float(go))
        dist.broadcast(said, 0)
        return bool(said)


@contextmanager
def replicas() -> Iterator[Replicas | None]:
    """The processes that torchrun started, joined; None without torchrun or with one only.

    When the first one leaves before it has begun, the others are let go.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or "RANK" not in os.environ:
        yield None
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    joined = Replicas(dist.get_rank(), count, int(os.environ.get("LOCAL_RANK", "0")))
    try:
        yield joined
    finally:
        with suppress(RuntimeError):  # the others may have left, for the same reason
            if joined.rank == 0 and not joined.begun:
                joined.begin(False)
            dist.destroy_process_group()


def check_shares(sizes: set[int], count: int) -> None:
    """Raise a ConfigError for a batch that gives a process less than two images to take statistics
    of."""
    if min(sizes) < 2 * count:
        raise ConfigError(
            f"A batch of {min(sizes)} images is too small for {count} processes; "
            "start fewer (torchrun --nproc-per-node)."
        )
