"""How far a run under way is, as its checkpoints and metrics say."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from records.files import no_pipe
from records.names import CHECKPOINTS, METRICS


@dataclass(frozen=True)
class Progress:
    """Where a run is.

    Attributes:
        iteration: of the last checkpoint or evaluation, whichever is later.
        pace: seconds of an iteration, evaluations apart, or None before the first evaluation.
        test_error: of the last evaluation, in percent, or None before it.
    """

    iteration: int
    pace: float | None
    test_error: float | None


def progress_of(folder: Path) -> Progress | None:
    """How far the run in a folder is, or None where it has left nothing yet."""
    parts = (path.name.split("-")[1] for path in folder.glob(CHECKPOINTS))
    saved = [int(part) for part in parts if part.isdecimal()]  # others are not ours
    row = _last_row(folder / METRICS)
    if row is None:
        return Progress(max(saved), None, None) if saved else None
    done = int(row["iteration"])
    error = row.get("test_error", math.nan)
    pace = row["seconds"] / done if done else None
    return Progress(max([done, *saved]), pace, None if math.isnan(error) else error)


def last_sign(folder: Path) -> float:
    """When a run last wrote a checkpoint or metrics, in seconds since 1970; 0 where it did not."""
    return max(map(changed, (folder / METRICS, *folder.glob(CHECKPOINTS))))


def changed(path: Path) -> float:
    """When a file was changed, in seconds since 1970; 0 where it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _last_row(path: Path) -> dict[str, float] | None:
    """The last whole row of some metrics."""
    try:
        with no_pipe(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        row = {name: float(cell) for name, cell in rows[-1].items() if cell}
    except (OSError, ValueError, IndexError, TypeError):
        return None
    whole = {"iteration", "seconds"} <= row.keys()  # else half a row
    return row if whole and math.isfinite(row["iteration"] + row["seconds"]) else None
