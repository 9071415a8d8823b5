"""The processor's name, as records and plans state it."""

from pathlib import Path


def processor() -> str:
    """Model name of the processor, or `CPU` if Linux does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "CPU"
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "CPU")
