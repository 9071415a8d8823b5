"""What has been measured in all: the verdicts of every table, and how many comparisons."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from experiments.tables.cells import MISSING
from experiments.tables.results import NOT_RUN, NOT_TESTED, QUOTED, Result
from experiments.tables.tables import PaperTable, scaled_note
from records.names import FULL

ORDER = (
    "reproduced", "better", "worse", "undecided", "fails as in the paper", "fails",
    "fails in part", "trains unlike in the paper",
)  # fmt: skip


COST = (
    "On an H100: what one run of every row takes, one after the other, computed from layers and "
    "multiply-adds (see `experiments/plan/estimate.py`). A row counts in every table that has it."
)


@dataclass(frozen=True)
class Total:
    """What has been measured of a table: its lines that we train, those that have run, how many
    have each verdict, and how long a run of each takes."""

    table: PaperTable
    trained: int
    measured: int
    verdicts: Counter[str]
    cost: str


@dataclass(frozen=True)
class Overview:
    """What has been measured of all tables.

    Attributes:
        results: of every row on a data set that has run and has a published number; a row that
            several tables quote counts once, in the first one.
    """

    totals: Sequence[Total]
    results: Sequence[Result]
    preset: str = FULL
    name: str = "overview"

    @property
    def compared(self) -> list[str]:
        """The verdicts of its results; a number read off a figure has none."""
        verdicts = (result.comparison.verdict for result in self.results)
        return [verdict for verdict in verdicts if verdict is not None]

    @property
    def title(self) -> str:
        title = "What has been measured"
        return title if self.preset == FULL else f"{title} on a {self.preset} of the schedule"

    @property
    def frame(self) -> pd.DataFrame:
        """A line a table, as text."""
        frame = pd.DataFrame(
            {
                "Table": total.table.name,
                "Shows": total.table.title,
                "Rows to train": str(total.trained),
                "On an H100": total.cost,
                "Measured": str(total.measured),
                "Verdicts": ", ".join(f"{total.verdicts[name]} {name}" for name in ORDER
                                      if total.verdicts[name]) or MISSING,
            }
            for total in self.totals
        )  # fmt: skip
        return frame if self.preset == FULL else frame.drop(columns="Verdicts")

    @property
    def notes(self) -> list[str]:
        """What has to be said once for the verdicts of all tables."""
        if self.preset != FULL:
            return [scaled_note(self.preset), COST]
        if not self.compared:
            return ["No number of ours has been compared with a published one yet.", COST]
        return [
            COST,
            f"{len(self.compared)} rows are compared with a published number, each counted once "
            "although several tables may quote it. No verdict is corrected for their number: of a "
            "hundred rows that are alike about five may be called better or worse. *Reproduced* "
            "is said of the printed number, which may be one run of the paper's: the simulation "
            "in the report says how often it is said of networks that differ by more.",
        ]


def overview(
    tables: Sequence[PaperTable], preset: str = FULL, costs: Mapping[str, str] | None = None
) -> Overview:
    """Count the verdicts of all tables; `costs` says how long each takes, by name."""
    compared: dict[tuple[str, str], Result] = {}
    for result in (result for table in tables for result in table.results):
        if result.compared or result.comparison.difference is not None:
            compared.setdefault(result.row, result)
    totals = []
    for table in tables:
        verdicts = [result.comparison.verdict for result in table.results]
        trained = [verdict for verdict in verdicts if verdict != QUOTED]
        measured = [verdict for verdict in trained if verdict not in (NOT_RUN, NOT_TESTED)]
        counts, cost = Counter(filter(None, measured)), (costs or {}).get(table.name, MISSING)
        totals.append(Total(table, len(trained), len(measured), counts, cost))
    return Overview(totals, list(compared.values()), preset)
