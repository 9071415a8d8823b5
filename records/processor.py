"""The processor: its name, as records and plans state it, and its cores."""

import os
from pathlib import Path


def processor() -> str:
    """Model name of the processor, or `CPU` if Linux does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "CPU"
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "CPU")


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
