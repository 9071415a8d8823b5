"""What has been measured, a line a row: for the README, from the records of every kept preset."""

from collections.abc import Iterable, Sequence
from statistics import fmean

import pandas as pd

from experiments.papers import datasets, published
from experiments.papers.published import Line
from experiments.tables.cells import MISSING, VERDICT, ours, paper
from experiments.tables.results import result
from experiments.verdicts.aggregate import working_error
from experiments.verdicts.inference import Prior
from experiments.verdicts.priors import prior_of
from experiments.verdicts.records import RunRecord, by_row, counting
from records.names import FULL

SCHEDULES = {FULL: "full", "tenth": "a tenth"}


def measured(records: Sequence[RunRecord], preset: str) -> list[dict[str, str]]:
    """Lines of the rows of published tables that have run with a preset; the paper's number stands
    by the full schedule only, which it is of. A row that several tables quote is named by the
    first."""
    own = counting(records, preset)
    runs, prior = by_row(own), prior_of("test_error", preset, own)
    lines: dict[tuple[str, str], Line] = {}
    for table in published.tables():
        for line in published.lines(table):
            lines.setdefault(line.row, line)
    return [_line(line, runs[row], preset, prior) for row, line in lines.items() if row in runs]


def _line(line: Line, own: Sequence[RunRecord], preset: str, prior: Prior) -> dict[str, str]:
    row, full = result(line, own, prior), preset == FULL
    working = [record for record in own if working_error(record) is not None]
    devices: dict[str, list[RunRecord]] = {}
    for record in own:
        devices.setdefault(_device(record), []).append(record)
    return {
        "Network": line.label + (f", {line.layers} layers" if line.layers else ""),
        "Data": datasets.of(line.dataset).short,
        "Schedule": SCHEDULES[preset],
        "Paper (%)": (paper(row) or MISSING) if full else MISSING,
        "Ours (%)": ours(row) or MISSING,
        "Training error (%)": _text(_mean(r.summary.get("train_error") for r in working)),
        "n": str(len(own)),
        "Minutes a run": "; ".join(map(_minutes, devices.values())),
        "On": "; ".join(devices),
        "Verdict": VERDICT.cell(row) if full else MISSING,
    }


def measured_table(records: dict[str, Sequence[RunRecord]]) -> pd.DataFrame:
    """The lines of every kept preset, the full schedule first."""
    return pd.DataFrame([line for preset, own in records.items() for line in measured(own, preset)])


def _mean(values: Iterable[float | None]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return fmean(known) if known else None


def _minutes(records: Sequence[RunRecord]) -> str:
    seconds = _mean(r.seconds for r in records if working_error(r) is not None)
    return _text(None if seconds is None else seconds / 60, ".1f")


def _text(value: float | None, form: str = ".2f") -> str:
    return MISSING if value is None else f"{value:{form}}"


def _device(record: RunRecord) -> str:
    name, at_once = str(record.summary.get("device")), record.summary.get("runs_at_once") or 1
    short = name.removeprefix("NVIDIA ").split(" 80GB")[0]
    if record.summary.get("driver") is None and record.summary.get("threads") == 1:
        return f"{short}, one core"
    return short if at_once == 1 else f"{short}, {at_once} runs at once"
