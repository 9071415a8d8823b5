"""A paper's table, compiled from records and published numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from experiments.papers import datasets, published
from experiments.papers.published import Line
from experiments.tables.cells import COLUMNS, MISSING, Column, number
from experiments.tables.results import NOT_TESTED, QUOTED, Result, result
from experiments.tables.sheets import Sheet
from experiments.verdicts.priors import prior_of
from experiments.verdicts.records import RunRecord, by_row, counting
from experiments.verdicts.verdict import RULE
from records.names import FULL

DASH = f"`{MISSING}`: not run yet, or not published."


@dataclass(frozen=True)
class PaperTable(Sheet):
    """A table of a paper: on every line the published number, what we measured with a kept preset
    and, on the full schedule, how they compare.

    Attributes:
        columns: those shown; optional ones only if they tell lines apart.
    """

    results: Sequence[Result]
    preset: str
    columns: Sequence[Column]

    @property
    def paper(self) -> published.Table:
        """The table as published."""
        return published.tables()[self.name]


def paper_table(table: str, records: Sequence[RunRecord], preset: str = FULL) -> PaperTable:
    """Compile a table.

    Args:
        records: any records; only unchanged runs of the preset on the right data count.

    Raises:
        PublishedError: there is no such table, or results/rows.csv lacks a row that it trains.
    """
    if table not in published.tables():
        raise published.PublishedError(published.unknown("table", table, published.tables()))
    counted, paper = counting(records, preset), published.tables()[table]
    runs = by_row(counted)
    prior = prior_of("test_error", preset, runs.values())
    results = [result(line, runs.get(line.row, []), prior) for line in published.lines(table)]
    columns = [
        column
        for column in shown_columns(preset)
        if not column.optional or len({column.text(line) for line in results}) > 1
    ]
    cells = {_heading(c, paper, preset): [c.cell(line) for line in results] for c in columns}
    title = paper.title if preset == FULL else f"{paper.title}, on a {preset} of the schedule"
    rule = RULE if preset == FULL else scaled_note(preset)
    below = [column.note for column in columns if column.note]
    notes = [rule, *below, *_test_notes(results), DASH, *_row_notes(results)]
    return PaperTable(table, title, pd.DataFrame(cells), notes, results, preset, columns)


def _heading(column: Column, paper: published.Table, preset: str) -> str:
    """The heading of a column, in the table's unit."""
    unit = "h" if paper.metric == published.HOURS else "%"
    name = column.name
    if preset != FULL and name.startswith("Paper"):
        name = name.replace("Paper", "Paper, full schedule")
    return name.replace("(%)", f"({unit})")


def _row_notes(results: Sequence[Result]) -> list[str]:
    """Notes on single rows, each with the rows it is about."""
    noted: dict[str, list[Line]] = {}
    for one in results:
        for note in one.line.notes:
            noted.setdefault(note, []).append(one.line)
    lines = [one.line for one in results]
    return [f"{'; '.join(_names(some, lines))}: {note}." for note, some in noted.items()]


def _test_notes(results: Sequence[Result]) -> list[str]:
    """How the networks trained here are tested."""
    ours = [one.line for one in results if one.verdict != QUOTED]
    commands = [
        f"`python eval.py run=<record> {' '.join(published.test_arguments(name))} save=true`"
        for name in dict.fromkeys(line.test for line in ours if line.test)
    ]
    if not commands:
        return []
    return [
        f"Networks are tested by {' and '.join(commands)}, which `make reproduce-table` runs "
        f"for every record with weights; *{NOT_TESTED}*: trained, but not tested this way yet."
    ]


def _names(noted: Sequence[Line], every: Sequence[Line]) -> list[str]:
    """The rows a note is about, with their data sets if it is not about all of them."""
    names = []
    for experiment in dict.fromkeys(line.experiment for line in noted):
        lines = [line for line in noted if line.experiment == experiment]
        details = [f"{lines[0].layers} layers"] if lines[0].layers else []
        if len(lines) < sum(line.experiment == experiment for line in every):
            details += [datasets.of(line.dataset).short for line in lines]
        label = lines[0].label
        names.append(f"{label} ({', '.join(details)})" if details else label)
    return list(dict.fromkeys(names))


def general(preset: str) -> list[str]:
    """Notes shared by the tables of a kept preset."""
    columns = [column.note for column in shown_columns(preset) if column.note]
    return [RULE if preset == FULL else scaled_note(preset), *columns, DASH]


def shown_columns(preset: str) -> list[Column]:
    """The columns of a kept preset; only full schedules are compared with the paper."""
    return [column for column in COLUMNS if preset == FULL or not column.against]


def scaled_note(preset: str) -> str:
    """The note beside numbers from a schedule other than the paper's."""
    return (
        f"Ours: the paper's recipe on a {preset} of its schedule (length, learning-rate drops and "
        "patience are scaled, and warm-up takes at most a sixteenth of the run), all else equal. "
        "The paper's numbers are for the full schedule: compare our rows only with each other."
    )


def shortened_table(name: str, title: str, note: str, records: Sequence[RunRecord]) -> Sheet:
    """Compile a table of shortened runs, one per line, without published numbers."""
    lines = [
        {
            "Run": record.run,
            "Parameters": f"{record.summary['params']:,}",
            "Iterations": record.summary["iterations"],
            "Training error (%)": number(record.summary["train_error"]) or "diverged",
            "Test error (%)": number(record.error("last")) or "diverged",
            "Best test error (%)": number(record.error("best")) or "diverged",
            "Status": record.summary["status"],
        }
        for record in records
    ]
    return Sheet(name, title, pd.DataFrame(lines), [note])
