"""The machine that a number comes from."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from records.validity import LONGEST


def machine(device: torch.device) -> dict[str, Any]:
    """Device, driver and software versions."""
    return {
        "device": name_of(device),
        "driver": _driver() if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def name_of(device: torch.device, processes: int = 1) -> str:
    """The name of a device, with how many of them share a run, as `2 x NVIDIA H100 80GB HBM3`."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return name if processes == 1 else f"{processes} x {name}"


def in_turn(devices: Sequence[str]) -> str:
    """Devices that a run went over, as a record may say it."""
    whole = ", then ".join(devices)
    return whole if len(whole) <= LONGEST else f"{len(devices)} devices in turn"


def reset_peak_memory(device: torch.device) -> None:
    """Forget what a run before this one, in the same process, took of a GPU."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """Most memory in use so far, in bytes: of the GPU, or of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _driver() -> str | None:
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        result = subprocess.run(query, check=False, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip().splitlines()[0] if result.stdout.strip() else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "CPU"
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "CPU")
