"""The machine at hand, asked without torch: its GPUs, its processor, its free disk space."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path


@cache
def gpus() -> dict[str, str]:
    """Number and name of every CUDA GPU that may be used."""
    command, visible = shutil.which("nvidia-smi"), os.environ.get("CUDA_VISIBLE_DEVICES")
    if command is None or visible in ("", "-1"):
        return {}
    try:
        listed = subprocess.run(
            [command, "-L"], check=True, capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    found = re.findall(r"^GPU (\d+): (.+?) \(UUID: (.+?)\)", listed.stdout, flags=re.MULTILINE)
    if visible is None:
        return {number: name for number, name, _ in found}
    names = {key: name for number, name, uuid in found for key in (number, uuid)}
    return {key: names.get(key, "GPU") for key in map(str.strip, visible.split(",")) if key}


def device_name() -> str:
    """What runs here are trained on, as their records call it."""
    if gpus():
        return next(iter(gpus().values()))
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "CPU"
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "CPU")


def free_bytes(folder: Path) -> int:
    """Free disk space where a folder is, or will be."""
    while not folder.exists():
        folder = folder.absolute().parent
    return shutil.disk_usage(folder).free
