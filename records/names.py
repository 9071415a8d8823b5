"""Names of runs, and where runs and their files are stored.

A run is `<paper>/<table>/<row>[+override...]/<dataset>/seed<k>`.
"""

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

# Files of an unfinished run, in its working folder.
LOCK, FAILURE, CHECKPOINTS = "lock", "failure.json", "checkpoint-*.pt"
SUMMARY, METRICS, CONFIG = "summary.json", "metrics.csv", "config.yaml"
WEIGHTS = "weights.safetensors"
LONGEST = 160  # characters of overrides in the name of a run's folder
PARTS = (CONFIG, METRICS, SUMMARY)  # files of a record; the summary is written last
FULL = "paper"  # the preset whose runs enter the papers' tables
# Presets whose records are kept in results/, by subfolder. The others only show that rows train.
KEPT = {FULL: "", "tenth": "tenth"}


def at_home(path: str) -> str:
    """Expand ~ in a path; an unknown ~user stays as it is."""
    return os.path.expanduser(path)  # noqa: PTH111  Path.expanduser raises for an unknown user


def datasets() -> Path:
    """Folder of the data sets."""
    return Path(at_home(os.environ.get("DATA_DIR") or "datasets"))


def run_name(experiment: str, overrides: Iterable[str], dataset: str, seed: int) -> str:
    """Name of a run.

    Args:
        overrides: `key=value` for everything changed other than row, data set and seed.
    """
    suffix = "".join(sorted("+" + _plain(override) for override in overrides))
    if len(suffix) > LONGEST:  # a folder's name has at most 255 bytes
        digest = hashlib.sha256(suffix.encode()).hexdigest()[:16]
        suffix = f"{suffix[:LONGEST].rstrip('+.=-')}+{digest}"
    return f"{experiment}{suffix}/{dataset}/seed{seed}"


def outputs() -> Path:
    """Folder of unfinished runs, of runs of presets that are not kept, and of their output."""
    return Path(at_home(os.environ.get("OUTPUT_DIR") or "outputs"))


def results() -> Path:
    """Folder of the records of kept presets and what is compiled from them."""
    return Path(at_home(os.environ.get("RESULTS_DIR") or "results"))


def working_folder(outputs: Path, preset: str, run: str) -> Path:
    """Folder in which a run trains, and where it stays unless its preset is kept."""
    return outputs / "runs" / preset / run


def record_folder(outputs: Path, results: Path, preset: str, run: str) -> Path:
    """Folder of a run's record once the run has ended."""
    kept = preset in KEPT
    return results / KEPT[preset] / "runs" / run if kept else working_folder(outputs, preset, run)


def weights_folder(results: Path, preset: str) -> Path:
    """Folder of a kept preset's weights, those small enough to ship."""
    return results / KEPT[preset] / "weights"


def weights_file(results: Path, preset: str, run: str) -> Path:
    """File of a run's weights, for a kept preset."""
    return weights_folder(results, preset) / f"{run}.safetensors"


def runs_folder(preset: str) -> Path:
    """Folder of a preset's finished records."""
    return record_folder(outputs(), results(), preset, "")


def compiled_folder(preset: str) -> Path:
    """Folder that holds tables/ and figures/ of a preset."""
    return results() / KEPT[preset] if preset in KEPT else outputs() / preset


def _plain(override: str) -> str:
    """An override with characters unsafe in a file name replaced by dashes."""
    return re.sub(r"[^\w.=+-]+", "-", override.lstrip("+~")).strip("-")
