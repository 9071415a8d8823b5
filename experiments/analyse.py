"""Ask eval.py for what figures and tables show and records lack: analyses and tests of weights."""

import subprocess
import sys
from collections.abc import Sequence

from experiments import published
from experiments.check import data_folder, quoted
from experiments.figures import FIGURES
from experiments.panels import Panel, Responses, Reuse, parts
from experiments.published import ROOT
from experiments.records import RunRecord


def analysis_of(panel: Panel) -> str | None:
    """What eval.py has to find out for a panel, if anything."""
    if isinstance(panel, Responses):
        return "responses"
    return "reuse" if isinstance(panel, Reuse) else None


def analyses_of(figure: str) -> dict[str, list[str]]:
    """The analyses that a figure shows, each with the rows it needs."""
    found: dict[str, list[str]] = {}
    for panel in FIGURES[figure]:
        if name := analysis_of(panel):
            rows = [row for _, rows, _ in parts(panel) for row in rows]
            found[name] = list(dict.fromkeys([*found.get(name, []), *rows]))
    return found


def complete(figure: str, records: Sequence[RunRecord]) -> None:
    """Make what a figure lacks: one analysis a row, of its lowest seed that has weights."""
    for name, rows in analyses_of(figure).items():
        for row in rows:
            own = [r for r in records if r.experiment == row and not r.diverged]
            if any((record.folder / f"{name}.csv").exists() for record in own):
                continue
            if own and not any(ask(record, f"analysis={name}") for record in own):
                print(f"{row}: no {name}.csv, because no run of it has weights here.")


def test(table: str, records: Sequence[RunRecord]) -> None:
    """Test every network of a table that has weights as the table asks for."""
    name = published.test(table) if table in published.titles() else None
    if name is None:
        return
    rows = {(line.experiment, line.dataset) for line in published.lines(table)}
    for record in records:
        own = (record.experiment, record.dataset) in rows and record.counts
        if not own or record.diverged or (record.folder / f"{name}.csv").exists():
            continue
        print(f"{record.run}: {' '.join(published.test_arguments(name))}")
        if not ask(record, *published.test_arguments(name), "save=true"):
            print(
                f"{record.run}: no {name}.csv, because it has no weights, or no photographs, here."
            )


def ask(record: RunRecord, *arguments: str) -> bool:
    """Run eval.py on a record; whether it could."""
    told = [f"run={quoted(str(record.folder.resolve()))}", *arguments]
    told.append(f"data.folder={quoted(str(data_folder().resolve()))}")
    command = [sys.executable, "eval.py", *told]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True).returncode == 0
