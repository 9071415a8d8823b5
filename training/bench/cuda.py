"""Loops on a GPU, one after another, each in a process of its own."""

import time
from collections.abc import Callable

import torch
from torch.autograd import DeviceType

from training.bench.apart import LeftOut, call
from training.bench.cases import Case, Loop
from training.bench.times import Times

WARM_UP = 20
PIECES = 10  # that the measured steps are cut into
LIMIT = 1200.0  # seconds that a loop may take in all


def measure(case: Case) -> dict[Loop, Times]:
    """Measure every loop; one that cannot run here is left out, with its reason."""
    times = {}
    for loop in case.loops:
        try:
            times[loop] = call(measure_loop, loop, case.rounds, limit=LIMIT)
        except LeftOut as reason:
            print(f"  {loop.name} {loop.precision}: left out ({reason})", flush=True)
    return times


def measure_loop(loop: Loop, steps: int) -> Times:
    """Time of a loop's steps between two events; host time counts where the host is slower."""
    torch.zeros(1, device="cuda")  # the driver starts before the clock does
    torch.cuda.synchronize()
    begin = time.monotonic()
    step = loop.step()
    torch.cuda.synchronize()
    made = time.monotonic()
    step()
    torch.cuda.synchronize()
    end = time.monotonic()
    found = Times(start=end - begin, first=end - made)
    for _ in range(WARM_UP):
        step()
    each = max(1, steps // PIECES)
    found.seconds = [timed(step, each) for _ in range(PIECES)]
    found.second, found.steps = found.seconds[0], each * PIECES
    found.memory = torch.cuda.max_memory_allocated()
    found.kernels = count_kernels(step)
    return found


def timed(action: Callable[[], object], times: int) -> float:
    """Seconds of one of several calls."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(times):
        action()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000 / times


def count_kernels(step: Callable[[], object]) -> int | None:
    """Kernels and copies that the GPU does in a step, in a graph or not; None if it cannot tell."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    try:
        with torch.profiler.profile(activities=activities) as profile:
            step()
            torch.cuda.synchronize()
    except (RuntimeError, AssertionError):  # where there is no profiler, or for administrators only
        return None
    found = sum(
        event.device_type == DeviceType.CUDA and not event.is_user_annotation
        for event in profile.events()
    )
    return found or None
