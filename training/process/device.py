"""The device of a run, and the process-wide settings it needs."""

import contextlib
import ctypes
import os
import shutil
import sys
import warnings

import torch

from training.settings.settings import Settings
from training.settings.types import ConfigError

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
UNLIMITED = 2**31 - 1


def find_device(name: str) -> torch.device:
    """Find the device a setting names and make it current; `auto` is a GPU if there is one.

    Raises:
        ConfigError: there is no such device, or torch cannot use it.
    """
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # numbered as nvidia-smi numbers them
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
        if name == "cpu" and shutil.which("nvidia-smi"):
            print(f"No GPU is used: {cuda_fault()}", file=sys.stderr)
    kind, _, index = name.partition(":")
    if kind == "cpu":
        return torch.device(name)
    if fault := cuda_fault():
        raise ConfigError(f"device={name}: {fault}\nOr use device=cpu.")
    if int(index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device={name}: this machine shows {torch.cuda.device_count()} CUDA devices; "
            "use device=cpu or device=auto."
        )
    device = torch.device(kind, int(index or 0))
    if fault := age_fault(device):
        raise ConfigError(f"device={name}: {fault}\nOr use device=cpu.")
    torch.cuda.set_device(device)  # streams and graphs are those of the current device
    return device


def cuda_fault() -> str | None:
    """Why torch cannot use a GPU here, in its own words, and the remedy; None if it can."""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} was built without CUDA; install a wheel with CUDA."
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0].split(". ")[0].rstrip(".")
        return (
            f"{reason}. This torch needs a driver for CUDA {torch.version.cuda}: update the "
            "driver, or install the wheel of torch for the CUDA that `nvidia-smi` shows."
        )
    return None


def age_fault(device: torch.device) -> str | None:
    """Why this torch has no code for a GPU, and the remedy; None if it has some."""
    built = [int(name[3:].rstrip("af")) for name in torch.cuda.get_arch_list() if "sm_" in name]
    major, minor = torch.cuda.get_device_capability(device)
    if not built or 10 * major + minor >= min(built):
        return None
    return (
        f"{torch.cuda.get_device_name(device)} (sm_{major}{minor}) is older than what torch "
        f"{torch.__version__} was built for (sm_{min(built)} on); install an older wheel of torch."
    )


def set_backend(settings: Settings, device: torch.device) -> None:
    """Configure the whole process: memory, threads, determinism, TF32.

    Raises:
        ConfigError: the device does not support the precision.
    """
    if settings.precision == "bf16" and device.type == "cuda" and not has_bf16():
        raise ConfigError("precision=bf16: this GPU has no bfloat16; use precision=tf32 or fp32.")
    keep_freed_memory()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if settings.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(settings.deterministic, warn_only=True)
    # Nothing here reads uninitialised memory.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not settings.deterministic
    # The backward thread has no CUDA context before its first kernel; torch creates one.
    warnings.filterwarnings("ignore", "Attempting to run cuBLAS")
    tf32 = settings.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for the next step, which needs the same blocks again.

    By default it returns large blocks to the system, which then maps them again page by page; on a
    CPU that costs a tenth of a step. Does nothing without glibc.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, UNLIMITED)
        library.mallopt(M_TRIM_THRESHOLD, UNLIMITED)


def has_bf16() -> bool:
    """Whether the current GPU supports bfloat16 natively."""
    return torch.cuda.is_bf16_supported(including_emulation=False)


def main() -> int:
    """Return 0 if torch can use a GPU, else print why not and return 1, for code without torch."""
    if fault := cuda_fault():
        print(fault)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
