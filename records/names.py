"""What runs are called, and where they and their files lie.

A run is `<paper>/<table>/<row>[+override...]/<dataset>/seed<k>`.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

# Files of a run under way, in its working folder.
LOCK, FAILURE, CHECKPOINTS = "lock", "failure.json", "checkpoint-*.pt"
SUMMARY, METRICS, CONFIG = "summary.json", "metrics.csv", "config.yaml"
WEIGHTS = "weights.safetensors"
PARTS = (CONFIG, METRICS, SUMMARY)  # of every record; the summary is written last
FULL = "paper"  # the preset whose runs enter the papers' tables


def run_name(experiment: str, overrides: Iterable[str], dataset: str, seed: int) -> str:
    """The name of a run.

    Args:
        overrides: `key=value` of everything that is changed beyond row, data set and seed.
    """
    suffix = "".join(sorted("+" + _plain(override) for override in overrides))
    return f"{experiment}{suffix}/{dataset}/seed{seed}"


def outputs() -> Path:
    """Where unfinished and shortened runs go, and what is compiled from the latter."""
    return Path(os.environ.get("OUTPUT_DIR", "outputs"))


def results() -> Path:
    """Where records of full recipes go, and what is compiled from them."""
    return Path(os.environ.get("RESULTS_DIR", "results"))


def working_folder(outputs: Path, preset: str, run: str) -> Path:
    """Where a run is trained, and stays unless it is a full recipe."""
    return outputs / "runs" / preset / run


def record_folder(outputs: Path, results: Path, preset: str, run: str) -> Path:
    """Where the record of a run is to be found once it has ended."""
    return results / "runs" / run if preset == FULL else working_folder(outputs, preset, run)


def weights_file(results: Path, run: str) -> Path:
    """Where the weights of a full recipe go, if they are small enough to ship."""
    return results / "weights" / f"{run}.safetensors"


def runs_folder(preset: str) -> Path:
    """Where the finished records of a preset lie."""
    return record_folder(outputs(), results(), preset, "")


def compiled_folder(preset: str) -> Path:
    """Where tables/ and figures/ of a preset go."""
    return results() if preset == FULL else outputs() / preset


def _plain(override: str) -> str:
    """An override without what a file name had better not hold."""
    return re.sub(r"[^\w.=+-]+", "-", override.lstrip("+~")).strip("-")
