"""Ask eval.py for what figures and tables show and records lack: analyses and tests of weights."""

import subprocess
import sys
from collections.abc import Collection, Sequence

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
            reason = ""
            for record in own:
                reason = ask(record, f"analysis={name}")
                if not reason:
                    break
            if reason:
                print(f"{row}: no {name}.csv. {reason}")


def test(table: str, rows: Collection[tuple[str, str]], records: Sequence[RunRecord]) -> None:
    """Test the networks of a table as it asks for, where that is still to do.

    Args:
        rows: experiment and data set of those that are asked for.
    """
    name = published.test(table) if table in published.titles() else None
    if name is None:
        return
    for record in records:
        asked = (record.experiment, record.dataset) in rows and record.counts
        if not asked or record.diverged or (record.folder / f"{name}.csv").exists():
            continue
        arguments = published.test_arguments(name)
        print(f"{record.run}: test by {' '.join(arguments)}", flush=True)
        if reason := ask(record, *arguments, "save=true"):
            print(f"{record.run}: no {name}.csv. {reason}")


def ask(record: RunRecord, *arguments: str) -> str:
    """Run eval.py on a record; why it could not, or nothing."""
    told = [f"run={quoted(str(record.folder.resolve()))}", *arguments]
    told.append(f"data.folder={quoted(str(data_folder().resolve()))}")
    command = [sys.executable, "eval.py", *told]
    ended = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    if ended.returncode == 0:
        return ""
    lines = ended.stderr.strip().splitlines() or [f"eval.py ended with code {ended.returncode}."]
    return lines[-1 if lines[0].startswith("Traceback") else 0]
