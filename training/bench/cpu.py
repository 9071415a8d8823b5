"""Loops against each other on a CPU: they take turns, a step each, in a process of their own."""

import multiprocessing
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from statistics import median

import torch

from training.bench.cases import Make
from training.provenance import peak_memory

WARM_UP = 2


@dataclass
class Times:
    """What a loop took.

    Attributes:
        start: seconds from making it to the end of its first step, compilation included.
        seconds: of every step after warming up: CPU-seconds here, on a GPU the time between events.
        memory: bytes that its steps took at most.
        kernels: of a step on a GPU.
    """

    start: float
    seconds: list[float] = field(default_factory=list)
    memory: int = 0
    kernels: int | None = None


def measure(loops: Mapping[str, Make], rounds: int) -> dict[str, Times]:
    """Have all loops take turns, so that whatever else the machine does falls on all of them."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    times: dict[str, Times] = {}
    for name, make in loops.items():
        pipes[name], theirs = context.Pipe()
        context.Process(target=serve, args=(make, theirs)).start()
        times[name] = Times(pipes[name].recv())  # one after the other: compiling takes all cores
    for turn in range(WARM_UP + rounds):
        for name, pipe in pipes.items():
            pipe.send(True)
            seconds, times[name].memory = pipe.recv()
            if turn >= WARM_UP:
                times[name].seconds.append(seconds)
    for pipe in pipes.values():
        pipe.send(False)
    return times


def serve(make: Make, pipe: Connection) -> None:
    """Answer the time to the first step; then do a step whenever asked, and answer its CPU-seconds
    and the memory taken so far."""
    begin, before = time.monotonic(), peak_memory(torch.device("cpu"))
    step = make()
    step()
    pipe.send(time.monotonic() - begin)
    while pipe.recv():
        start = time.process_time()
        step()
        seconds = time.process_time() - start
        pipe.send((seconds, peak_memory(torch.device("cpu")) - before))


def paired_ratio(base: list[float], other: list[float]) -> float:
    """How many times faster than `base`, round by round: the median."""
    return median(a / b for a, b in zip(base, other, strict=True))
