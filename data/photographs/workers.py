"""Worker processes that decode photographs, and end with the process that uses them."""

import atexit
import ctypes
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from data.order import DataError

PREFETCH = 4  # batches that each worker loads ahead, at most,
AHEAD = 64  # and all workers together, as far as each loads one: they wait in pinned memory
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
PR_SET_PDEATHSIG = 1  # from Linux's sys/prctl.h
LOST = "DataLoader worker"  # in torch's error messages about workers, and no others
NOTICED_SECONDS = 1
REMEDY = (
    "Increase shared memory (docker run --shm-size=8g), or use fewer workers: workers=1, or "
    "workers=0 to decode in the training process."
)


def make_loader(views: Dataset[Any], workers: int, **options: Any) -> DataLoader[Any]:
    """Create a loader with persistent workers.

    Args:
        workers: number of worker processes; 0 decodes in this process.
        options: further arguments of `DataLoader`.
    """
    if workers:  # each batch on its way takes several files in shared memory
        with suppress(OSError, ValueError):
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return DataLoader(
        views,
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=max(1, min(PREFETCH, AHEAD // workers)) if workers else None,
        worker_init_fn=begin_worker,
        generator=torch.Generator(),  # leaves the run's generator alone
        **options,
    )


def delivered(loader: Iterable[Any]) -> Iterator[Any]:
    """Start a loader's workers and iterate over its batches; errors about an image read as if it
    had been decoded in this process."""
    return _without_traceback(iter(loader))


def _without_traceback(arriving: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from arriving
        return
    except DataError as error:  # torch puts the worker's traceback before the message
        message = str(error).rpartition("DataError: ")[2].rstrip()
        error.__traceback__ = None  # a reference cycle would keep the loader and its workers alive
    except (ConnectionError, EOFError) as error:  # a worker died before its images were fetched
        time.sleep(NOTICED_SECONDS)  # torch's signal handler raises here and says why it died
        raise RuntimeError(f"{LOST} was lost: {error}") from None
    raise DataError(message)


def begin_worker(number: int) -> None:
    """Set up a worker: it ignores signals, as the training process saves first, and dies with that
    process."""
    torch.set_num_threads(1)
    for which in IGNORED:
        signal.signal(which, signal.SIG_IGN)
    if sys.platform == "linux":  # elsewhere torch's own check of the parent every few seconds
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # With a fork server, the parent is the server, which ends with the training process.
        user = multiprocessing.parent_process()
        if user is not None and not user.is_alive():  # it died before the call above
            os._exit(1)


def why_lost(error: RuntimeError) -> str | None:
    """Return why workers ended, and the remedy, or None if the error is about something else; torch
    may raise it at any point of a run."""
    text = str(error)
    if LOST not in text.partition("\n")[0]:
        return None
    lost = "Traceback" not in text
    reason = text.splitlines()[0 if lost else -1].removeprefix("RuntimeError: ")
    if not lost and "shared memory" not in reason and "No space" not in reason:
        return None  # an error inside a worker: its traceback says which
    return f"The decoding workers failed ({reason.split('. ')[0]}).\n{REMEDY}"


@atexit.register
def end_workers() -> None:
    """Kill remaining workers: Python would send SIGTERM, which they ignore, and wait forever.

    Runs before multiprocessing's own exit handler, which was registered earlier.
    """
    left = [child for child in multiprocessing.active_children() if child.daemon]
    if left:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would raise
    for child in left:
        child.kill()
