"""Ask eval.py for what figures and tables show and records lack: analyses and tests of weights."""

from collections.abc import Collection, Sequence

from experiments.figures.drawing import FIGURES
from experiments.papers import published
from experiments.verdicts.ask_eval import ask_eval
from experiments.verdicts.records import RunRecord


def complete_figure(figure: str, records: Sequence[RunRecord]) -> None:
    """Make what a figure lacks: one analysis a row, of its lowest seed that has weights."""
    asked = [(panel.analysis, row) for panel in FIGURES[figure] for row, _ in panel.rows]
    for name, row in dict.fromkeys(asked):
        own = [r for r in records if r.experiment == row and not r.diverged]
        if name is None or any((record.folder / f"{name}.csv").exists() for record in own):
            continue
        reason = ""
        for record in own:
            reason = ask_eval(record.folder, f"analysis={name}").reason
            if not reason:
                break
        if reason:
            print(f"{row}: no {name}.csv. {reason}")


def test_rows(table: str, rows: Collection[tuple[str, str]], records: Sequence[RunRecord]) -> None:
    """Test the networks of a table as it asks for, where that is still to do.

    Args:
        rows: experiment and data set of those that are asked for.
    """
    asked = [
        (record, line.test)
        for record in records
        if record.row in rows and record.counts and not record.diverged
        for line in published.lines(table)
        if line.row == record.row and line.test
    ]
    for record, name in asked:
        if (record.folder / f"{name}.csv").exists():
            continue
        arguments = published.test_arguments(name)
        print(f"{record.run}: test by {' '.join(arguments)}", flush=True)
        if reason := ask_eval(record.folder, *arguments, "save=true").reason:
            print(f"{record.run}: no {name}.csv. {reason}")
