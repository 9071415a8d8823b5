"""One run on several processes started by torchrun, one GPU each.

torchrun --nproc-per-node 2 train.py experiment=he2015_residual/table6/resnet110

Every process holds the whole run and trains on its share of each batch; one collective over the
flat gradient sums the gradients, each weighted by its share. Normalisation takes its statistics
over a share, as in the papers, whose batches were split over two or more GPUs. The first process's
statistics are kept, and it alone writes.
"""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from records.exits import FAILED
from training.process.signals import Stopped
from training.settings.types import ConfigError

PARTED = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")  # gloo's words


@dataclass
class Replicas:
    """The processes of a run.

    Attributes:
        rank: index of this process.
        count: number of processes.
        local: index of this process, and of its GPU, on its machine.
    """

    rank: int
    count: int
    local: int
    begun: bool = False

    def share(self, size: int) -> slice:
        """This process's part of a batch; the parts of all processes make up the batch."""
        return slice(self.rank * size // self.count, (self.rank + 1) * size // self.count)

    def device(self, name: str) -> str:
        """The device of this process: a GPU of its own, unless the setting names another device."""
        if name not in ("auto", "cuda"):
            return name
        return f"cuda:{self.local}" if torch.cuda.is_available() else name

    def add(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over all processes."""
        dist.all_reduce(tensor)

    def agree(self, flag: bool) -> bool:
        """Whether `flag` is true in any process."""
        said = torch.tensor(float(flag))
        dist.all_reduce(said, dist.ReduceOp.MAX)
        return bool(said)

    def union(self, indices: set[int], count: int) -> set[int]:
        """The union over all processes of indices from 0 to `count` - 1."""
        marks = torch.zeros(count)
        marks[sorted(indices)] = 1
        dist.all_reduce(marks)
        return set(marks.nonzero().flatten().tolist())

    def copy_first(self, tensors: list[Tensor]) -> None:
        """Overwrite the tensors of all processes with the first one's."""
        for tensor in tensors:
            dist.broadcast(tensor, 0)

    def begin(self, go: bool = True) -> bool:
        """Whether there is anything to train: the first process decides, the others wait."""
        self.begun = True
        said = torch.tensor(float(go))
        dist.broadcast(said, 0)
        return bool(said)


def processes() -> int:
    """How many processes torchrun started for this run; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


@contextmanager
def replicas() -> Iterator[Replicas | None]:
    """Join the processes that torchrun started; yields None without torchrun or with only one.

    If the first process leaves before it has begun, the others are released. A process that fails
    later does not leave the group, which would wait for the others, who wait for it: see `abandon`.
    """
    count = processes()
    if count == 1:
        yield None
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    joined = Replicas(dist.get_rank(), count, int(os.environ.get("LOCAL_RANK", "0")))
    together = False
    try:
        yield joined
        together = True
    except Stopped:
        together = True
        raise
    finally:
        with suppress(RuntimeError):  # the others may have left, for the same reason
            if joined.rank == 0 and not joined.begun:
                joined.begin(False)
            if together:
                dist.destroy_process_group()


def abandon(error: BaseException) -> None:
    """End this process at once if it has failed as one of several: an ordinary end would wait for
    collectives, in which the others wait for it. Losing the connection ends them, on Linux."""
    if not dist.is_available() or not dist.is_initialized():
        return
    code = error.code if isinstance(error, SystemExit) else None
    if not isinstance(code, int):
        traceback.print_exception(error)
        code = FAILED
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def why_parted(error: RuntimeError) -> str | None:
    """Why a collective failed in this process, or None if the error is about something else."""
    text = str(error)
    if not any(word in text for word in PARTED) or not dist.is_initialized():
        return None
    return "Another process of this run has ended; its own message says why."


def check_shares(sizes: set[int], count: int) -> None:
    """Raise a ConfigError if a process's share of a batch may be below the two images that
    normalisation needs."""
    if min(sizes) < 2 and count == 1:
        raise ConfigError(
            "An epoch ends with a batch of one image, too few to normalise; choose another "
            "recipe.batch, or recipe.whole_batches=true."
        )
    if min(sizes) < 2 * count:
        raise ConfigError(
            f"A batch of {min(sizes)} images is too small for {count} processes; "
            "start fewer (torchrun --nproc-per-node)."
        )
