"""Overview of what has been measured: the verdicts of every table, and how many comparisons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from experiments.tables.cells import MISSING
from experiments.tables.results import NOT_RUN, NOT_TESTED, QUOTED, Result
from experiments.tables.sheets import Sheet
from experiments.tables.tables import PaperTable, scaled_note
from records.names import FULL

ORDER = (
    "reproduced", "better", "worse", "undecided", "fails as in the paper", "fails",
    "fails in part", "trains contrary to the paper",
)  # fmt: skip


COST = (
    "H100, one seed: time to train every row once, one after another, computed from layers and "
    "multiply-adds (see `experiments/plan/estimate.py`); papers report up to five seeds. A row "
    "counts in every table that has it."
)


@dataclass(frozen=True)
class Overview(Sheet):
    """What has been measured, one line per table.

    Attributes:
        results: of every row that has run and has a published number; a row that several tables
            quote counts once, in the first one.
        compared: the verdicts of `results`; a number read off a figure has none.
    """

    results: Sequence[Result]
    compared: Sequence[str]
    preset: str


def overview(tables: Sequence[PaperTable], preset: str, costs: Mapping[str, str]) -> Overview:
    """Count the verdicts of all tables; `costs` gives the training time of each, by name."""
    results: dict[tuple[str, str], Result] = {}
    for result in (result for table in tables for result in table.results):
        is_compared = result.verdict not in (NOT_RUN, NOT_TESTED, QUOTED, None)
        if is_compared or result.difference is not None:
            results.setdefault(result.line.row, result)
    verdicts = (result.verdict for result in results.values())
    compared = [verdict for verdict in verdicts if verdict is not None]
    title, lines = "What has been measured", pd.DataFrame([_line(one, costs) for one in tables])
    if preset != FULL:
        title, lines = f"{title} on a {preset} of the schedule", lines.drop(columns="Verdicts")
    notes = _notes(len(compared), preset)
    return Overview("overview", title, lines, notes, list(results.values()), compared, preset)


def _line(table: PaperTable, costs: Mapping[str, str]) -> dict[str, str]:
    """The line of a table: its rows to train, those measured, and how many have each verdict. A row
    that the table tests in several ways is one, with a verdict for each."""
    trained = [result for result in table.results if result.verdict != QUOTED]
    measured = [result for result in trained if result.verdict not in (NOT_RUN, NOT_TESTED)]
    verdicts = [result.verdict for result in measured]
    counts = {name: verdicts.count(name) for name in ORDER if name in verdicts}
    return {
        "Table": table.name,
        "Shows": table.title,
        "Rows to train": str(len({result.line.row for result in trained})),
        "H100, one seed": costs[table.name],
        "Measured": str(len({result.line.row for result in measured})),
        "Verdicts": ", ".join(f"{n} {name}" for name, n in counts.items()) or MISSING,
    }


def _notes(compared: int, preset: str) -> list[str]:
    """Notes on the verdicts of all tables."""
    if preset != FULL:
        return [scaled_note(preset), COST]
    if not compared:
        return ["None of our numbers has been compared with a published one yet.", COST]
    return [
        COST,
        f"{compared} rows are compared with a published number, each counted once even if several "
        "tables quote it. Verdicts are not corrected for the number of comparisons: of a hundred "
        "rows that do not differ, about five may be called better or worse, and more if runs are "
        "added until a verdict falls: choose their number beforehand. *Reproduced* refers "
        "to the printed number, which may be a single run of the paper's: the simulation in the "
        "report shows how often networks that differ by more are called reproduced.",
    ]
