"""The machine at hand, queried without torch: its GPUs, its processor, its free disk space."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from records.files import ROOT
from records.processor import processor

QUERY = ("--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits")


@dataclass(frozen=True)
class Gpu:
    """A GPU: its name, and its memory in bytes, or None if unknown."""

    name: str
    memory: float | None


@cache
def gpus() -> dict[str, Gpu]:
    """Every CUDA GPU that may be used, by its id in CUDA_VISIBLE_DEVICES."""
    command, visible = shutil.which("nvidia-smi"), os.environ.get("CUDA_VISIBLE_DEVICES")
    if command is None or visible in ("", "-1"):
        return {}
    try:
        listed = subprocess.run(
            [command, *QUERY], check=True, capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    known: dict[str, Gpu] = {}
    for line in listed.stdout.splitlines():
        number, uuid, name, memory = (part.strip() for part in line.split(",", 3))
        size = float(memory) * 2**20 if memory.isdecimal() else None
        known[number] = known[uuid] = Gpu(name, size)
    if visible is None:
        return {key: gpu for key, gpu in known.items() if key.isdecimal()}
    chosen = [key.strip() for key in visible.split(",") if key.strip()]
    return {key: known.get(key, Gpu("GPU", None)) for key in chosen}


def torch_fault(environment: Mapping[str, str] | None = None) -> str | None:
    """Why torch cannot use a GPU here, or with these variables added; None if it can. Asked in a
    process that imports torch."""
    try:
        asked = _with_torch("training.process.device", environment)
    except subprocess.TimeoutExpired:
        return "torch did not report within five minutes whether it can use this GPU."
    if asked.returncode == 0:
        return None
    return asked.stdout.strip() or (asked.stderr.strip().splitlines() or ["torch fails"])[-1]


@cache
def resnet20_step() -> float | None:
    """Seconds per step of ResNet-20 on the first GPU; None if it cannot be timed."""
    try:
        return float(_with_torch("training.doctor.speed").stdout)
    except (ValueError, subprocess.TimeoutExpired):
        return None


def _with_torch(
    module: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a module in a process that imports torch, which this one does not.

    Raises:
        subprocess.TimeoutExpired: it does not end within five minutes.
    """
    return subprocess.run(
        [sys.executable, "-m", module], cwd=ROOT, env=os.environ | dict(environment or {}),
        check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def device_name() -> str:
    """The device that runs here are trained on, as named in their records."""
    return next(iter(gpus().values())).name if gpus() else processor()


def free_bytes(folder: Path) -> int:
    """Free disk space in bytes where a folder is, or will be."""
    while not folder.exists():
        folder = folder.absolute().parent
    return shutil.disk_usage(folder).free
