"""The name of a run: `<paper>/<table>/<row>[+override...]/<dataset>/seed<k>`."""

import re
from pathlib import Path

from training.settings import Settings

# Overrides that the name holds already, or that change no number.
UNNAMED = {
    "experiment", "data", "seed", "preset", "table", "device", "threads", "engine", "deterministic",
    "checkpoint_seconds", "output_dir", "results_dir", "run", "weights", "workers",
}  # fmt: skip
UNNAMED_GROUPS = ("hydra", "logger")


def run_name(experiment: str, overrides: list[str], settings: Settings) -> str:
    """Name of a run; every override beyond row, dataset and seed is appended to the row."""
    suffix = "".join(sorted(_suffix(override) for override in overrides))
    return f"{experiment}{suffix}/{settings.data.name}/seed{settings.seed}"


def working_folder(settings: Settings, run: str) -> Path:
    """Where a run is trained, and stays unless it is a full recipe."""
    return Path(settings.output_dir) / "runs" / settings.preset.name / run


def result_folder(settings: Settings, run: str) -> Path | None:
    """Where the finished record of a full recipe goes; None for shortened runs."""
    if settings.preset.name != "paper":
        return None
    return Path(settings.results_dir) / "runs" / run


def weights_file(settings: Settings, run: str) -> Path:
    """Where the weights of a full recipe go, if they are small enough to ship."""
    return Path(settings.results_dir) / "weights" / f"{run}.safetensors"


def _suffix(override: str) -> str:
    key, _, value = override.lstrip("+~").partition("=")
    if key in UNNAMED or key == "data.folder" or key.split(".")[0] in UNNAMED_GROUPS:
        return ""
    return "+" + re.sub(r"[^\w.=+-]+", "-", f"{key}={value}").strip("-")
