"""Processes that decode photographs, and end when the one that uses what they decode does."""

import atexit
import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from data.order import DataError

PREFETCH = 4  # batches a worker is ahead
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
PR_SET_PDEATHSIG = 1  # from Linux's sys/prctl.h
LOST = "DataLoader worker"  # how torch speaks of them in its errors, and of nothing else
NOTICED_SECONDS = 1
REMEDY = (
    "Give them more shared memory (docker run --shm-size=8g), or fewer of them: workers=1, or "
    "workers=0 to decode in the process that trains."
)


def make_loader(views: Dataset[Any], workers: int, **options: Any) -> DataLoader[Any]:
    """A loader whose workers stay from one use to the next.

    Args:
        workers: how many; 0 decodes in this process.
        options: more of what a `DataLoader` takes.
    """
    return DataLoader(
        views,
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=PREFETCH if workers else None,
        worker_init_fn=begin_worker,
        generator=torch.Generator(),  # which leaves the run's own alone
        **options,
    )


def delivered(loader: Iterable[Any]) -> Iterator[Any]:
    """What a loader brings, whose workers begin now; what is wrong with an image is said as if it
    had been read here."""
    return _without_traceback(iter(loader))


def _without_traceback(arriving: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from arriving
        return
    except DataError as error:  # torch puts a worker's traceback before it
        message = str(error).rpartition("DataError: ")[2].rstrip()
        error.__traceback__ = None  # a circle there would keep the loader, and its workers
    except (ConnectionError, EOFError) as error:  # it died before its images were fetched
        time.sleep(NOTICED_SECONDS)  # torch raises here what became of it
        raise RuntimeError(f"{LOST} was lost: {error}") from None
    raise DataError(message)


def begin_worker(number: int) -> None:
    """A worker leaves signals to the process that trains, which saves first, and dies with it."""
    torch.set_num_threads(1)
    for which in IGNORED:
        signal.signal(which, signal.SIG_IGN)
    if sys.platform == "linux":  # elsewhere torch's own look at the parent, every few seconds
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # Under a fork server that is its parent, which ends with the process that uses the worker.
        user = multiprocessing.parent_process()
        if user is not None and not user.is_alive():  # it has died before that
            os._exit(1)


def why_lost(error: RuntimeError) -> str | None:
    """Why workers ended, and the remedy, if that is what an error is of: they may be missed in the
    middle of anything."""
    text = str(error)
    if LOST not in text.partition("\n")[0]:
        return None
    lost = "Traceback" not in text
    reason = text.splitlines()[0 if lost else -1].removeprefix("RuntimeError: ")
    if not lost and "shared memory" not in reason and "No space" not in reason:
        return None  # an error in a worker, which its traceback tells
    return f"The processes that decode photographs failed ({reason.split('. ')[0]}).\n{REMEDY}"


@atexit.register
def end_workers() -> None:
    """Kill the workers that are left: Python would ask them by SIGTERM and wait for ever.

    Runs before multiprocessing's own, which was registered first.
    """
    left = [child for child in multiprocessing.active_children() if child.daemon]
    if left:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would raise
    for child in left:
        child.kill()
