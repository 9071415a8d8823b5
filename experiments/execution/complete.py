"""Ask eval.py for what figures and tables show and records lack: analyses and tests of weights."""

from collections.abc import Collection, Sequence

from experiments.figures.figures import FIGURES
from experiments.papers import published
from experiments.verdicts.ask_eval import ask_eval
from experiments.verdicts.records import RunRecord


def analyses_of(figure: str) -> dict[str, list[str]]:
    """The analyses that a figure shows, each with the rows it needs."""
    analyses: dict[str, dict[str, None]] = {}
    for panel in FIGURES[figure]:
        if panel.analysis:
            analyses.setdefault(panel.analysis, {}).update(dict.fromkeys(r for r, _ in panel.rows))
    return {name: list(rows) for name, rows in analyses.items()}


def complete_figure(figure: str, records: Sequence[RunRecord]) -> None:
    """Make what a figure lacks: one analysis a row, of its lowest seed that has weights."""
    for name, rows in analyses_of(figure).items():
        for row in rows:
            own = [r for r in records if r.experiment == row and not r.diverged]
            if any((record.folder / f"{name}.csv").exists() for record in own):
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
    for record in records:
        if record.row in rows and record.counts and not record.diverged:
            for name in _tests(table, record):
                _test(record, name)


def _tests(table: str, record: RunRecord) -> list[str]:
    """The tests that a table asks for a record's row."""
    lines = published.lines(table)
    names = [line.test for line in lines if line.row == record.row]
    return [name for name in dict.fromkeys(names) if name]


def _test(record: RunRecord, name: str) -> None:
    if (record.folder / f"{name}.csv").exists():
        return
    arguments = published.test_arguments(name)
    print(f"{record.run}: test by {' '.join(arguments)}", flush=True)
    if reason := ask_eval(record.folder, *arguments, "save=true").reason:
        print(f"{record.run}: no {name}.csv. {reason}")
