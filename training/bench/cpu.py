"""Loops against each other on a CPU: they take turns, a step each, in a process of their own."""

import time
from multiprocessing.connection import Connection

import torch

from training.bench.apart import LeftOut, answer, start
from training.bench.cases import Case, Loop
from training.bench.times import Times
from training.provenance import peak_memory

CPU = torch.device("cpu")
WARM_UP = 1  # rounds, after the first step


def measure(case: Case) -> dict[Loop, Times]:
    """Have all loops take turns, so that whatever else the machine does falls on all of them.

    One that cannot run here is left out, with its reason.
    """
    pipes: dict[Loop, Connection] = {}
    times: dict[Loop, Times] = {}
    for loop in case.loops:  # one after the other, since compiling takes all cores
        _, pipe = start(take_turns, loop)
        try:
            times[loop], pipes[loop] = answer(pipe), pipe
        except LeftOut as reason:
            print(f"  {loop.name}: left out ({reason})")
    for turn in range(WARM_UP + case.rounds):
        for loop, pipe in pipes.items():
            pipe.send(True)
            found = times[loop]
            wall, seconds, found.memory = answer(pipe)
            if turn == 0:
                found.second = wall
            if turn >= WARM_UP:
                found.seconds.append(seconds)
                found.steps += 1
    for pipe in pipes.values():
        pipe.send(False)
    return times


def take_turns(pipe: Connection, loop: Loop) -> None:
    """Answer what starting took; then do a step whenever asked, and answer its seconds by the wall
    clock and of CPU, and the memory taken so far."""
    begin, before = time.monotonic(), peak_memory(CPU)
    step = loop.step()
    made = time.monotonic()
    step()
    end = time.monotonic()
    pipe.send(Times(start=end - begin, first=end - made))
    while pipe.recv():
        wall, start = time.monotonic(), time.process_time()
        step()
        seconds = time.process_time() - start
        pipe.send((time.monotonic() - wall, seconds, peak_memory(CPU) - before))
