"""A row as its records measured it: mean and spread of an error, of the time, or its parameters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from experiments.papers import published
from experiments.papers.rows import facts
from experiments.verdicts.aggregate import working_error
from experiments.verdicts.records import RunRecord
from experiments.verdicts.tested import as_tested
from experiments.verdicts.verdict import Deviation, others_deviation, spread

OF = ("test_error", "train_error", "seconds", "params")


@dataclass(frozen=True)
class Row:
    """A row by one of its measures.

    Attributes:
        value: mean over the runs that train; NaN where there is none.
        deviations: sample standard deviation and number of runs, of ours or else of the paper's.
        others: the same of independent reproductions.
        failed: whether all runs fail to train.
        missing: whether there are no runs.
        text: its name and the value, as they are printed.
        machines: device, engine and runs at once of every run: what a time depends on.
    """

    value: float
    deviations: Deviation | None
    others: Deviation | None
    failed: bool
    missing: bool
    text: str
    machines: frozenset[tuple[str, ...]] = frozenset()


def row_of(experiment: str, dataset: str, of: str, records: Sequence[RunRecord]) -> Row:
    """A row's runs among `records`, by a measure."""
    name = experiment.rpartition("/")[2]
    if of == "params":
        row = facts(experiment, dataset)
        assert row is not None
        return Row(row.params, None, None, False, False, f"{name} {row.params / 1e6:.2f}M")
    runs = [r for r in records if (r.experiment, r.dataset) == (experiment, dataset)]
    table = experiment.rpartition("/")[0]
    if of == "test_error" and table in published.titles():
        runs = as_tested(runs, table)[0]  # as the row's own table tests it
    if not runs:
        return Row(math.nan, None, None, False, True, f"{name} not run")
    working = [record for record in runs if working_error(record) is not None]
    # Where every run fails to train, their training error can still be asked for.
    asked = working
    if of == "train_error" and not working:
        asked = [record for record in runs if not record.diverged]
    values = [_value(record, of) for record in asked]
    if not values:
        return Row(math.nan, None, None, True, False, f"{name} fails")
    several, failed = len(values) > 1, len(asked) < len(runs)
    return Row(
        fmean(values),
        (stdev(values), len(values)) if several else _paper(experiment, dataset, of),
        others_deviation(experiment, dataset) if of != "seconds" else None,
        not working,
        False,
        f"{name} {_text(values, of)}" + (f" ({len(runs) - len(asked)} fail)" if failed else ""),
        frozenset(_machine(record) for record in runs),
    )


def difference_std(one: Row, other: Row) -> float | None:
    """The standard deviation to judge the difference of two rows by, or None if nobody knows it."""
    known = [row.others for row in (one, other) if row.others is not None]
    return spread(one.deviations, other.deviations, max(known, default=None))


def _paper(experiment: str, dataset: str, of: str) -> Deviation | None:
    """The paper's own deviation of a row's test error, where it ran several."""
    line = published.Line(experiment.rpartition("/")[0], experiment, dataset)
    if of != "test_error" or line.table not in published.titles():
        return None
    if line not in published.lines(line.table):
        return None
    known = [number.deviation for number in published.reported(line) if number.deviation]
    return known[0] if known else None


def _value(record: RunRecord, of: str) -> float:
    error = record.error("last") if of == "test_error" else record.summary[of]
    return math.nan if error is None else float(error)


def _text(values: Sequence[float], of: str) -> str:
    if of == "seconds":
        return f"{fmean(values) / 60:.1f} min"
    text = f"{fmean(values):.2f}"
    text += f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{text} in training" if of == "train_error" else text


def _machine(record: RunRecord) -> tuple[str, ...]:
    return tuple(str(record.summary.get(key)) for key in ("device", "engine", "runs_at_once"))
