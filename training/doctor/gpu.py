"""The GPU: what the driver shows, what torch can use of it, what Triton needs."""

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import torch

from training.doctor.finding import Finding, judged
from training.engines.engine import choose_engine
from training.process.device import age_fault, cuda_fault

MPS = "nvidia-cuda-mps-control"
LEAST_MEMORY = 2e9  # bytes; a run of a small network, with CUDA's context


def driver() -> Iterator[Finding]:
    """NVIDIA's driver and the CUDA it supports, against the CUDA of this torch."""
    command = shutil.which("nvidia-smi")
    if command is None:
        yield Finding("note", "driver", "no nvidia-smi: no NVIDIA GPU here",
                      "Small networks train on the CPU, the others need a GPU.")  # fmt: skip
        return
    asked = subprocess.run([command], check=False, capture_output=True, text=True, timeout=60)
    versions = re.findall(r"(Driver|CUDA)[^:|]*Version: *([\d.]+)", asked.stdout)
    installed = ", ".join(f"{name} {number}" for name, number in versions)
    if asked.returncode:
        lines = (asked.stdout + asked.stderr).strip().splitlines()
        yield Finding("FAIL", "driver", lines[0] if lines else "nvidia-smi fails",
                      "Restart the machine, or install the driver again.")  # fmt: skip
        return
    if fault := cuda_fault():
        reason, remedy = fault.split(". ", 1) if ". " in fault else (fault, "")
        yield Finding("FAIL", "driver", f"{installed or 'there'}; torch: {reason}", remedy)
        return
    yield Finding("ok", "driver", f"{installed}; torch was built for CUDA {torch.version.cuda}")


def devices() -> Iterator[Finding]:
    """Every GPU that torch sees: whether torch has code for it, and its free memory."""
    if not torch.cuda.is_available():
        return
    for number in range(torch.cuda.device_count()):
        device, name = torch.device("cuda", number), f"cuda:{number}"
        if fault := age_fault(device):
            yield Finding("FAIL", name, *fault.split("; ", 1))
            continue
        free, total = torch.cuda.mem_get_info(device)
        major, minor = torch.cuda.get_device_capability(device)
        state = (
            f"{torch.cuda.get_device_name(device)}, sm_{major}{minor}, "
            f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
        )
        held = "Other processes hold its memory: nvidia-smi."
        yield judged(free >= LEAST_MEMORY, name, state, held)


def compiler() -> Iterator[Finding]:
    """What Triton needs on the machine to launch our kernels: a C compiler, Python's headers."""
    known = [os.environ.get("CC", ""), "gcc", "clang", "cc"]
    compilers = filter(None, (shutil.which(name) for name in known if name))
    path = next(compilers, None)
    header = Path(sysconfig.get_path("include")) / "Python.h"
    missing = ([] if path else ["C compiler"]) + ([] if header.exists() else [str(header)])
    if not missing:
        yield Finding("ok", "compiler", f"{path}, {header}")
        return
    needed = torch.cuda.is_available()
    yield Finding(
        "FAIL" if needed else "note", "compiler", f"no {' and no '.join(missing)}",
        "Install gcc and Python's headers (Debian: gcc python3-dev)"
        + ("; without them engine=captured." if needed else ", for a GPU's kernels."),
    )  # fmt: skip


def kernels() -> Iterator[Finding]:
    """Whether our kernels compile and agree with PyTorch's."""
    if not torch.cuda.is_available():
        return
    engine, reason = choose_engine("auto", torch.device("cuda", 0))
    if reason is None:
        yield Finding("ok", "kernels", f"compiled, equal to PyTorch's: engine={engine}")
    else:
        yield Finding("FAIL", "kernels", reason, f"Runs go on with engine={engine}.")


def mps() -> Iterator[Finding]:
    """NVIDIA's MPS, which lets several runs on one GPU work side by side."""
    if not torch.cuda.is_available():
        return
    path, turns = shutil.which(MPS), "Without it, runs on one GPU take turns."
    yield judged(path is not None, "MPS", path or f"no {MPS}", turns, otherwise="note")


CHECKS = (driver, devices, compiler, kernels, mps)
