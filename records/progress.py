"""Progress of an unfinished run, from its checkpoints and metrics."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from records.files import no_pipe
from records.names import CHECKPOINTS, METRICS


@dataclass(frozen=True)
class Progress:
    """Progress of a run.

    Attributes:
        iteration: that of the last checkpoint or evaluation, whichever is later.
        pace: seconds per iteration, excluding evaluation, or None before the first evaluation.
        test_error: at the last evaluation, in percent, or None before the first.
    """

    iteration: int
    pace: float | None
    test_error: float | None


def progress_of(folder: Path) -> Progress | None:
    """Return how far the run in a folder is, or None if it has written nothing yet."""
    parts = (path.name.split("-")[1] for path in folder.glob(CHECKPOINTS))
    saved = [int(part) for part in parts if part.isdecimal()]  # skip files of others
    row = _last_row(folder / METRICS)
    if row is None:
        return Progress(max(saved), None, None) if saved else None
    done = int(row["iteration"])
    error = row.get("test_error", math.nan)
    pace = row["seconds"] / done if done else None
    return Progress(max([done, *saved]), pace, None if math.isnan(error) else error)


def last_sign(folder: Path) -> float:
    """When a run last wrote a checkpoint or metrics, in seconds since 1970; 0 if it never did."""
    return max(map(changed, (folder / METRICS, *folder.glob(CHECKPOINTS))))


def changed(path: Path) -> float:
    """When a file was last changed, in seconds since 1970; 0 if it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _last_row(path: Path) -> dict[str, float] | None:
    """The last row of a metrics file, or None if it is incomplete or unreadable."""
    try:
        with no_pipe(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        row = {name: float(cell) for name, cell in rows[-1].items() if cell}
    except (OSError, ValueError, IndexError, TypeError):
        return None
    whole = {"iteration", "seconds"} <= row.keys()  # else it is half written
    return row if whole and math.isfinite(row["iteration"] + row["seconds"]) else None
