"""A paper's table, compiled from records and published numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from experiments.papers import datasets, published
from experiments.tables.cells import COLUMNS, MISSING, Column
from experiments.tables.results import NOT_TESTED, QUOTED, Result, result
from experiments.tables.sheets import Sheet
from experiments.verdicts.priors import prior_of
from experiments.verdicts.records import RunRecord, by_row, counting
from experiments.verdicts.verdict import RULE
from records.names import FULL

DASH = f"`{MISSING}`: not run yet, or not published."


@dataclass(frozen=True)
class PaperTable:
    """A table of a paper: on every line what it says, what we measured with a kept preset and,
    where that is the full recipe, how they compare."""

    name: str
    results: Sequence[Result]
    preset: str = FULL

    @property
    def paper(self) -> published.Table:
        """What the paper says it is."""
        return published.tables()[self.name]

    @property
    def title(self) -> str:
        title = self.paper.title
        return title if self.preset == FULL else f"{title}, on a {self.preset} of the schedule"

    @property
    def columns(self) -> list[Column]:
        """Those that tell the lines apart, or are never left out."""
        return [
            column
            for column in shown_columns(self.preset)
            if not column.optional or len({column.text(line) for line in self.results}) > 1
        ]

    def heading(self, column: Column) -> str:
        """The name of a column, in the table's unit."""
        unit = "h" if self.paper.metric == published.HOURS else "%"
        name = column.name
        if self.preset != FULL and name.startswith("Paper"):
            name = name.replace("Paper", "Paper, full schedule")
        return name.replace("(%)", f"({unit})")

    @property
    def frame(self) -> pd.DataFrame:
        """The table as text."""
        return pd.DataFrame(
            {self.heading(c): [c.cell(line) for line in self.results] for c in self.columns}
        )

    @property
    def notes(self) -> list[str]:
        """What has to be said below it."""
        noted: dict[str, list[Result]] = {}
        for line in self.results:
            for note in line.line.notes:
                noted.setdefault(note, []).append(line)
        notes = [f"{'; '.join(self._names(lines))}: {note}." for note, lines in noted.items()]
        columns = [column.note for column in self.columns if column.note]
        rule = RULE if self.preset == FULL else scaled_note(self.preset)
        return [rule, *columns, *self._test_notes(), DASH, *notes]

    def _test_notes(self) -> list[str]:
        """How the networks are tested that are trained here."""
        ours = [line.line for line in self.results if line.comparison.verdict != QUOTED]
        names = dict.fromkeys(line.test for line in ours if line.test)
        commands = [
            f"`python eval.py run=<record> {' '.join(published.test_arguments(name))} save=true`"
            for name in names
        ]
        if not commands:
            return []
        return [
            f"Networks are tested by {' and '.join(commands)}, which `make reproduce-table` does "
            f"for every record with weights; *{NOT_TESTED}* where nobody has."
        ]

    def _names(self, noted: Sequence[Result]) -> list[str]:
        """The rows a note is about, with their data sets where it is not about all of a row's."""
        rows: dict[str, list[Result]] = {}
        for line in noted:
            rows.setdefault(line.line.experiment, []).append(line)
        names = []
        for experiment, lines in rows.items():
            details = [f"{lines[0].line.layers} layers"] if lines[0].line.layers else []
            if len(lines) < sum(line.line.experiment == experiment for line in self.results):
                details += [datasets.of(line.line.dataset).short for line in lines]
            label = lines[0].line.label
            names.append(f"{label} ({', '.join(details)})" if details else label)
        return list(dict.fromkeys(names))


def general(preset: str) -> list[str]:
    """What is said below many tables of a kept preset."""
    columns = [column.note for column in shown_columns(preset) if column.note]
    return [RULE if preset == FULL else scaled_note(preset), *columns, DASH]


def shown_columns(preset: str) -> list[Column]:
    """The columns of a kept preset: what holds ours against the paper's is of full schedules."""
    return [column for column in COLUMNS if preset == FULL or not column.against]


def scaled_note(preset: str) -> str:
    """What has to be said beside numbers of another schedule than the paper's."""
    return (
        f"Ours: the paper's recipe on a {preset} of its schedule (length, drops of the learning "
        "rate and patience scaled, warm-up at most a sixteenth of the run), all else equal. The "
        "paper's numbers are of the full schedule: rows of ours compare with each other only."
    )


def paper_table(table: str, records: Sequence[RunRecord], preset: str = FULL) -> PaperTable:
    """Compile a table.

    Args:
        records: any records; only unchanged runs of the preset on the right data count.

    Raises:
        PublishedError: there is no such table, or nobody has counted what it trains.
    """
    if table not in published.tables():
        raise published.PublishedError(published.unknown("table", table, published.tables()))
    own = counting(records, preset)
    runs, prior = by_row(own), prior_of("test_error", preset, own)
    results = [result(line, runs.get(line.row, []), prior) for line in published.lines(table)]
    return PaperTable(table, results, preset)


def shortened_table(name: str, title: str, note: str, records: Sequence[RunRecord]) -> Sheet:
    """Runs that were cut short, each by itself, beside no published number."""
    lines = [
        {
            "Run": record.run,
            "Parameters": f"{record.summary['params']:,}",
            "Iterations": record.summary["iterations"],
            "Training error (%)": _error(record.summary["train_error"]),
            "Test error (%)": _error(record.error("last")),
            "Best test error (%)": _error(record.error("best")),
            "Status": record.summary["status"],
        }
        for record in records
    ]
    return Sheet(name, title, pd.DataFrame(lines), [note])


def _error(value: float | None) -> str:
    return "diverged" if value is None else f"{value:.2f}"
