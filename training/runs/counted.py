"""What a run has to be like to enter a table, from the files of results/."""

import csv
from pathlib import Path
from typing import NamedTuple

from records.files import ROOT
from records.names import KEPT
from training.runs.named import NamedRun


class Counted(NamedTuple):
    """What a row trains on a data set, as counted by `make architecture`."""

    hash: str
    iterations: int


def counted(run: NamedRun) -> tuple[Counted | None, str | None]:
    """What the row of a run trains, if a table trains it on this data set with this preset, which
    is one whose records are kept; and the fingerprint of the papers' data, if it is known."""
    data = run.settings.data.name
    rows = _lines(ROOT / "results" / KEPT[run.settings.preset.name] / "rows.csv")
    found = [row for row in rows if (row["experiment"], row["dataset"]) == (run.experiment, data)]
    row = Counted(found[0]["hash"], int(found[0]["iterations"])) if found else None
    sets = {line["dataset"]: line for line in _lines(ROOT / "results/paper/datasets.csv")}
    return row, sets.get(data, {}).get("fingerprint")


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
