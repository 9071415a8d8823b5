"""Loops on a GPU, one after another, and what the machine can do at most."""

import gc
import time
from collections.abc import Callable, Mapping
from statistics import median

import torch
from torch.autograd import DeviceType

from training.bench.cases import RESNET20, Make
from training.bench.cpu import Times
from training.bench.loops import ours

WARM_UP = 20
COPY_BYTES, NODES = 2**30, 1000
AT_ONCE = (1, 2, 4, 8)


def measure(loops: Mapping[str, Make], rounds: int) -> dict[str, Times]:
    """Each loop by itself; one that cannot run here is left out, with its reason."""
    times = {}
    for name, make in loops.items():
        try:
            times[name] = measure_one(make, rounds)
        except Exception as error:  # whatever a compiler or a small card may raise
            print(f"  {name}: left out ({str(error).splitlines()[0]})")
        gc.collect()
        torch.cuda.empty_cache()
    return times


def measure_one(make: Make, rounds: int) -> Times:
    """Time of every step between two events; host time counts where the host is slower."""
    torch.cuda.reset_peak_memory_stats()
    begin = time.monotonic()
    step = make()
    step()
    torch.cuda.synchronize()
    found = Times(time.monotonic() - begin)
    for _ in range(WARM_UP):
        step()
    pieces = 10
    for _ in range(pieces):
        found.seconds.append(timed(step, max(1, rounds // pieces)))
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


def count_kernels(step: Callable[[], object]) -> int:
    """Kernels that a step launches, or that its graph holds."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        step()
        torch.cuda.synchronize()
    return sum(event.device_type == DeviceType.CUDA for event in profile.events())


def copy_bandwidth() -> float:
    """Bytes a second that a large copy reads and writes."""
    source = torch.empty(COPY_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    seconds = median(timed(lambda: target.copy_(source), 10) for _ in range(5))
    return 2 * COPY_BYTES / seconds


def node_seconds() -> float:
    """Time of a kernel that does next to nothing, in a graph of many."""
    x = torch.zeros(1, device="cuda")
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        x.add_(1)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(NODES):
            x.add_(1)
    return median(timed(graph.replay, 5) for _ in range(5)) / NODES


def side_by_side() -> dict[str, Times]:
    """Several ResNet-20 at once, each on its stream: seconds for a step of all of them."""
    found = {}
    for count in AT_ONCE:
        streams = [torch.cuda.Stream() for _ in range(count)]
        steps = []
        begin = time.monotonic()
        for seed, stream in enumerate(streams):
            with torch.cuda.stream(stream):
                steps.append(ours(RESNET20, "cuda", f"seed={seed}"))
                steps[-1]()

        def turn(steps: list = steps, streams: list = streams) -> None:
            for step, stream in zip(steps, streams, strict=True):
                with torch.cuda.stream(stream):
                    step()

        times = Times(time.monotonic() - begin)
        for _ in range(WARM_UP):
            turn()
        for _ in range(5):
            torch.cuda.synchronize()
            start = time.monotonic()  # events would see one stream only
            for _ in range(100):
                turn()
            torch.cuda.synchronize()
            times.seconds.append((time.monotonic() - start) / 100 / count)
        times.memory = torch.cuda.max_memory_allocated()
        found[f"{count} at once"] = times
        del steps
        gc.collect()
        torch.cuda.empty_cache()
    return found
