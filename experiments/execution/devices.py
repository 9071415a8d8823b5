"""Where the runs of a plan are trained, and how many at once."""

import os

from experiments.execution.execute import Device
from experiments.plan.estimate import AT_ONCE
from experiments.plan.machine import gpus


def devices(at_once: str) -> list[Device]:
    """The GPUs of this machine, or else its processor.

    Args:
        at_once: most runs on a GPU at a time, or `auto`: as many as its memory holds. On a
            processor, which one run keeps busy, `auto` is one; several share its cores.
    """
    if not gpus():
        count = 1 if at_once == "auto" else int(at_once)
        threads = [f"threads={max(1, (os.cpu_count() or 1) // count)}"] if count > 1 else []
        return [Device(at_once=count, options=threads)]
    if at_once != "auto":
        return [Device(name, int(at_once)) for name in gpus()]
    return [Device(name, AT_ONCE if gpu.memory else 1, gpu.memory) for name, gpu in gpus().items()]
