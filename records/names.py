"""What runs are called, and where they and their files lie.

A run is `<paper>/<table>/<row>[+override...]/<dataset>/seed<k>`.
"""

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

# Files of a run under way, in its working folder.
LOCK, FAILURE, CHECKPOINTS = "lock", "failure.json", "checkpoint-*.pt"
SUMMARY, METRICS, CONFIG = "summary.json", "metrics.csv", "config.yaml"
WEIGHTS = "weights.safetensors"
LONGEST = 160  # characters of what was changed, in the name of a run's folder
PARTS = (CONFIG, METRICS, SUMMARY)  # of every record; the summary is written last
FULL = "paper"  # the preset whose runs enter the papers' tables
# Presets whose records are results, and their folder there. The others only show that rows train.
KEPT = {FULL: "", "tenth": "tenth"}


def at_home(path: str) -> str:
    """A path in which ~ is one's home; that of a user who is not there stays as it is."""
    return os.path.expanduser(path)  # noqa: PTH111  Path's raises then


def datasets() -> Path:
    """Where data sets lie."""
    return Path(at_home(os.environ.get("DATA_DIR") or "datasets"))


def run_name(experiment: str, overrides: Iterable[str], dataset: str, seed: int) -> str:
    """The name of a run.

    Args:
        overrides: `key=value` of everything that is changed beyond row, data set and seed.
    """
    suffix = "".join(sorted("+" + _plain(override) for override in overrides))
    if len(suffix) > LONGEST:  # a folder's name has at most 255 bytes
        digest = hashlib.sha256(suffix.encode()).hexdigest()[:16]
        suffix = f"{suffix[:LONGEST].rstrip('+.=-')}+{digest}"
    return f"{experiment}{suffix}/{dataset}/seed{seed}"


def outputs() -> Path:
    """Where unfinished runs go, those of presets that are not kept, and what is made of them."""
    return Path(at_home(os.environ.get("OUTPUT_DIR") or "outputs"))


def results() -> Path:
    """Where the records of kept presets go, and what is compiled from them."""
    return Path(at_home(os.environ.get("RESULTS_DIR") or "results"))


def working_folder(outputs: Path, preset: str, run: str) -> Path:
    """Where a run is trained, and stays unless its preset is kept."""
    return outputs / "runs" / preset / run


def record_folder(outputs: Path, results: Path, preset: str, run: str) -> Path:
    """Where the record of a run is to be found once it has ended."""
    kept = preset in KEPT
    return results / KEPT[preset] / "runs" / run if kept else working_folder(outputs, preset, run)


def weights_folder(results: Path, preset: str) -> Path:
    """Where the weights of a kept preset go, if they are small enough to ship."""
    return results / KEPT[preset] / "weights"


def weights_file(results: Path, preset: str, run: str) -> Path:
    """Where the weights of a run of a kept preset go."""
    return weights_folder(results, preset) / f"{run}.safetensors"


def runs_folder(preset: str) -> Path:
    """Where the finished records of a preset lie."""
    return record_folder(outputs(), results(), preset, "")


def compiled_folder(preset: str) -> Path:
    """Where tables/ and figures/ of a preset go."""
    return results() / KEPT[preset] if preset in KEPT else outputs() / preset


def _plain(override: str) -> str:
    """An override without what a file name had better not hold."""
    return re.sub(r"[^\w.=+-]+", "-", override.lstrip("+~")).strip("-")
