"""Where a number comes from: code and machine."""

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

import torch

from records.files import ROOT

SUFFIXES = (".py", ".yaml")
CODE = ("conf", "data", "models", "records", "training", "train.py")

# The same for git, which need not look at whatever else lies there.
WATCHED = [f":(glob){name}/**/*{suffix}" for name in CODE for suffix in SUFFIXES] + ["train.py"]


def code_hash() -> str:
    """Hash over every file that decides a run: 16 hex digits."""
    digest = hashlib.sha256()
    for name in CODE:
        top = ROOT / name
        files = [top] if top.is_file() else sorted(top.rglob("*"))
        for path in files:
            if path.suffix in SUFFIXES:
                digest.update(f"{path.relative_to(ROOT).as_posix()}\0".encode())
                digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def commit() -> dict[str, Any]:
    """Git commit and whether the code there was clean; SOURCE_COMMIT stands in for a lost .git."""
    if not (ROOT / ".git").exists():
        return {"commit": os.environ.get("SOURCE_COMMIT"), "clean": None}
    try:
        head = _git("rev-parse", "HEAD")
        status = _git("status", "--porcelain", "-z", "--untracked-files=all", "--", *WATCHED)
    except (OSError, subprocess.SubprocessError):
        return {"commit": os.environ.get("SOURCE_COMMIT"), "clean": None}
    # Only what the hash reads decides: data or a notebook's copies may lie beside the code.
    changed = [name for name in status.split("\0") if name.endswith(SUFFIXES)]
    return {"commit": head, "clean": not changed}


def machine(device: torch.device) -> dict[str, Any]:
    """Device, driver and software versions."""
    if device.type == "cuda":
        name, driver = torch.cuda.get_device_name(device), _driver()
    else:
        name, driver = _processor(), None
    return {
        "device": name,
        "driver": driver,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


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


def _git(*arguments: str) -> str:
    result = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30,
        errors="surrogateescape",  # names of files are bytes
    )  # fmt: skip
    return result.stdout.strip()


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
