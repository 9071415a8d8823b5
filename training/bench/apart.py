"""Functions in a process of their own, so that none finds what another has left behind."""

import multiprocessing
import os
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
PATIENCE = 60.0  # seconds that a process has to end after its answer


class LeftOut(Exception):
    """A loop cannot run here; the message says why."""


def start(function: Callable[..., None], *arguments: Any) -> tuple[SpawnProcess, Connection]:
    """Start a function in a fresh process; it is given a pipe's other end and the arguments."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, function, *arguments))
    process.start()
    theirs.close()  # so that the end of the process is the end of the pipe
    return process, ours


def serve(pipe: Connection, function: Callable[..., None], *arguments: Any) -> None:
    """The body of such a process: with no compiled code from before, so that compiling counts."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(dict.fromkeys(CACHES, folder))
        try:
            function(pipe, *arguments)
        except (EOFError, BrokenPipeError):
            return  # who asked is gone
        except Exception as error:  # whatever a compiler or a small card may raise
            lines = str(error).strip().splitlines() or [""]
            pipe.send(LeftOut(f"{type(error).__name__}: {lines[0]}".rstrip(": ")))


def answer(pipe: Connection, limit: float | None = None) -> Any:
    """The next thing that a process sends.

    Raises:
        LeftOut: it cannot go on, has died, or has sent nothing for `limit` seconds.
    """
    try:
        if not pipe.poll(limit):
            raise LeftOut(f"nothing after {limit:.0f} s")
        found = pipe.recv()
    except (EOFError, ConnectionError):
        raise LeftOut("its process died") from None
    if isinstance(found, LeftOut):
        raise found
    return found


def call(function: Callable[..., Any], *arguments: Any, limit: float | None = None) -> Any:
    """The result of a function that ran in a process of its own.

    Raises:
        LeftOut: see `answer`.
    """
    process, pipe = start(_send, function, *arguments)
    try:
        found = answer(pipe, limit)
        process.join(PATIENCE)
        return found
    finally:
        process.kill()
        process.join()


def _send(pipe: Connection, function: Callable[..., Any], *arguments: Any) -> None:
    pipe.send(function(*arguments))
