"""Loops measured side by side, each in a fresh process."""

import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import torch

from training.bench.cases import Loop

WARM_UP, STEPS = 2, 20  # steps before anything is measured, and between two events on a GPU


def measure(loops: Sequence[Loop], rounds: int) -> dict[Loop, list[float]]:
    """Seconds per step of each loop in every round; CPU-seconds if they run on a CPU.

    The loops take turns, so that other load on the machine affects all of them alike. A loop that
    cannot run here is left out, and the reason printed.
    """
    processes: list[BaseProcess] = []
    try:
        return _in_turns(loops, rounds, processes)
    except BaseException:
        for process in processes:
            process.terminate()
        raise
    finally:
        for process in processes:
            process.join()


def _in_turns(
    loops: Sequence[Loop], rounds: int, processes: list[BaseProcess]
) -> dict[Loop, list[float]]:
    """See `measure`, which ends the `processes` that this starts."""
    pipes, context = {}, multiprocessing.get_context("spawn")
    for loop in loops:  # one after the other, since compiling takes all cores
        pipe, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, loop))
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # left to this process
        process.start()
        signal.signal(signal.SIGINT, handler)
        processes.append(process)
        theirs.close()  # so that the pipe ends with the process
        try:
            problem = pipe.recv()
        except EOFError:
            problem = "its process died"
        if problem:
            print(f"  {loop.name} {loop.precision}: left out ({problem})", flush=True)
        else:
            pipes[loop] = pipe
    seconds: dict[Loop, list[float]] = {loop: [] for loop in pipes}
    for _ in range(rounds):
        for loop, pipe in pipes.items():
            pipe.send(True)
            seconds[loop].append(pipe.recv())
    for pipe in pipes.values():
        pipe.close()
    return seconds


def serve(pipe: Connection, loop: Loop) -> None:
    """Warm a loop up and report what prevents it, if anything; then time a step whenever asked."""
    try:
        step = loop.step()
        for _ in range(WARM_UP):
            step()
    except Exception as error:  # whatever a compiler or a small card may raise
        pipe.send(f"{type(error).__name__}: {error}".splitlines()[0])
        return
    pipe.send("")
    with suppress(EOFError):  # the other end has closed the pipe
        while pipe.recv():
            pipe.send(cpu_seconds(step) if loop.device == "cpu" else gpu_seconds(step, STEPS))


def cpu_seconds(step: Callable[[], object]) -> float:
    """CPU-seconds of a call, over all threads of this process."""
    begin = time.process_time()
    step()
    return time.process_time() - begin


def gpu_seconds(step: Callable[[], object], calls: int) -> float:
    """Mean seconds per call between two events; the host's time where the host is slower."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    for _ in range(calls):
        step()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1000 / calls
