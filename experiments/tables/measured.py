"""What has been measured, a line a row: for the README, from the records of every kept preset."""

from collections.abc import Sequence
from statistics import fmean

import pandas as pd

from experiments.papers import published
from experiments.papers.published import Line
from experiments.papers.rows import facts
from experiments.tables.cells import MISSING, ours, paper
from experiments.tables.results import result
from experiments.verdicts.priors import prior_of
from experiments.verdicts.records import RunRecord
from records.names import FULL

SCHEDULES = {FULL: "full", "tenth": "a tenth"}


def measured(records: Sequence[RunRecord], preset: str) -> list[dict[str, str]]:
    """Lines of the rows that have run with a preset; the paper's number stands by the full
    schedule only, which it is of."""
    runs: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        if record.counts and record.preset == preset:
            runs.setdefault((record.experiment, record.dataset), []).append(record)
    prior = prior_of("test_error", preset, [one for row in runs.values() for one in row])
    found = []
    for (experiment, dataset), own in runs.items():
        line = Line("/".join(experiment.split("/")[:2]), experiment, dataset)
        row, known = result(line, own, prior), facts(experiment, dataset, preset)
        assert known is not None
        minutes = fmean(float(one.summary["seconds"]) for one in own) / 60
        # With the paper, a kind and a depth say what a row is.
        found.append(
            {
                "Network": f"{row.label}, {row.layers or known.depth} layers",
                "Data": published.short(dataset),
                "Schedule": SCHEDULES[preset],
                "Paper (%)": (paper(row) or MISSING) if preset == FULL else MISSING,
                "Ours (%)": ours(row) or MISSING,
                "In training (%)": f"{fmean(float(one.summary['train_error']) for one in own):.2f}",
                "n": str(len(own)),
                "Minutes a run": f"{minutes:.0f}" if minutes > 9.5 else f"{minutes:.1f}",
                "On": ", ".join(dict.fromkeys(_device(one) for one in own)),
                "Verdict": (row.comparison.verdict or MISSING) if preset == FULL else MISSING,
            }
        )
    return sorted(found, key=lambda line: (line["Network"].split(",")[0], _depth(line)))


def measured_table(records: dict[str, Sequence[RunRecord]]) -> pd.DataFrame:
    """The lines of every kept preset, the full schedule first."""
    return pd.DataFrame([line for preset, own in records.items() for line in measured(own, preset)])


def _depth(line: dict[str, str]) -> int:
    return int(line["Network"].split(", ")[-1].split()[0])


def _device(record: RunRecord) -> str:
    name, at_once = str(record.summary["device"]), record.summary.get("runs_at_once", 1)
    short = name.replace("NVIDIA ", "").split(" 80GB")[0]
    cores = "" if "NVIDIA" in name else f", {record.summary.get('threads', 1)} core"
    return f"{short}{cores}" if at_once == 1 else f"{short}, {at_once} runs at once"
