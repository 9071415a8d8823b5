"""Measures of a row from its records: an error, a loss, a magnitude, the time, or its size, with
the spread between runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import pandas as pd

from experiments.papers import published
from experiments.papers.rows import all_rows
from experiments.verdicts.inference import Prior, Sample, sample
from experiments.verdicts.priors import (
    ERRORS,
    error_sample,
    measured_errors,
    prior_of,
    prior_of_shares,
)
from experiments.verdicts.records import RunRecord, by_row
from experiments.verdicts.tested import as_tested

EXACT = ("params", "macs")  # properties of the network, not of its runs

# What Huang et al. 2017 read off their Fig. 5, as numbers computed from a reuse analysis. Its frame
# has a line for each `block`, `target` (a layer, or what follows the block) and `source` (a layer
# before it, 0 for the block's input), with the mean magnitude of the `weight` between them.


def weight_spread(reuse: pd.DataFrame) -> float:
    """Effective share of its sources that a target uses, on average: 1 if all have the same weight,
    1 / n if one of n has all of it (the participation ratio, over n)."""
    return float(_targets(reuse)["weight"].agg(_participation).mean())


def transition_least(reuse: pd.DataFrame) -> float:
    """Share of the targets in the blocks after the first whose smallest weight is on the output of
    the transition before their block."""
    after = _targets(reuse[reuse["block"] > 1])
    least = after.apply(lambda lines: lines.set_index("source")["weight"].idxmin() == 0)
    return float(least.mean())


def _targets(reuse: pd.DataFrame) -> "pd.api.typing.DataFrameGroupBy":
    """Group the lines by target, without targets that have a single source."""
    choice = reuse.groupby(["block", "target"])["source"].transform("size") > 1
    return reuse[choice].groupby(["block", "target"])


def _participation(weights: pd.Series) -> float:
    return float(weights.sum() ** 2 / (weights**2).sum() / len(weights))


# The analysis behind each measure, and the function that reduces it to a number.
OF_WEIGHTS: dict[str, tuple[str, Callable[[pd.DataFrame], float]]] = {
    "responses": ("responses", lambda frame: float(frame["std"].mean())),
    "weight_spread": ("reuse", weight_spread),
    "transition_least": ("reuse", transition_least),
}


@dataclass(frozen=True)
class Row:
    """A row by one of its measures.

    Attributes:
        sample: its runs that train, or all with a finite loss if most fail; without deviation for
            an exact measure; None if nothing is measured.
        failed: whether most of its runs fail to train.
        missing: whether it has no runs, or does not fail and has no run with the measure.
        text: its name and value, as printed.
        machines: device, engine and runs at once of every run: what a time depends on.
    """

    sample: Sample | None
    failed: bool
    missing: bool
    text: str
    machines: frozenset[tuple[str, ...]] = frozenset()


def prior_of_measure(of: str, preset: str, records: Sequence[RunRecord], at: float = 0) -> Prior:
    """The prior for a measure of runs with a preset: that of errors, or of shares of the mean."""
    if of in ERRORS:
        return prior_of(of, preset, by_row(records).values())
    groups: dict[tuple[object, ...], list[float]] = {}
    for record in records if of not in EXACT else ():
        if (value := value_of(record, of, at)) is not None:
            groups.setdefault((record.row, _machine(record)), []).append(value)
    return prior_of_shares(groups.values())


def row_of(
    experiment: str,
    dataset: str,
    of: str,
    records: Sequence[RunRecord],
    prior: Prior,
    at: float = 0,
) -> Row:
    """Measure a row by its runs among `records`.

    Args:
        prior: see `prior_of_measure`.
        at: for `train_loss`, the iteration.
    """
    name = experiment.rpartition("/")[2]
    if of in EXACT:
        size = float(getattr(all_rows()[experiment, dataset], of))
        return Row(Sample(size, 0.0, 1, 1), False, False, f"{name} {size / 1e6:.2f}M")
    runs = [record for record in records if record.row == (experiment, dataset)]
    table = experiment.rpartition("/")[0]
    if of == "test_error" and table in published.tables():
        runs = as_tested(runs, published.tables()[table].test)[0]  # as the row's own table tests it
    if not runs:
        return Row(None, False, True, f"{name} not run")
    working = [record for record in runs if measured_errors("test_error", [record])]
    failed = 2 * len(working) < len(runs)
    # If most fail, a measure can still be taken of the runs with a finite loss.
    asked = [record for record in runs if not record.diverged] if failed else working
    values = [v for record in asked if (v := value_of(record, of, at)) is not None]
    if not values:
        text = f"{name} fails" if failed else f"{name}: no {of} measured"
        return Row(None, failed, not failed, text)
    some = f" ({len(runs) - len(working)} fail)" if len(working) < len(runs) else ""
    if of in ERRORS:
        measured = error_sample(values, dataset, prior)
    else:
        measured = sample(values, prior.ratio * abs(fmean(values)), prior.freedom)
    machines = frozenset(map(_machine, runs))
    return Row(measured, failed, False, f"{name} {_text(values, of, at)}{some}", machines)


def value_of(record: RunRecord, of: str, at: float = 0) -> float | None:
    """A measure of a run, or None if it was not taken."""
    if of == "test_error":
        return record.error("last")
    if of == "train_loss":
        frame = record.metrics()
        later = frame[frame["iteration"] >= at]
        return None if later.empty else float(later["train_loss"].iloc[0])
    if of == "seconds":
        return record.seconds
    if of == "gradient":
        frame = record.metrics()
        if "gradient" not in frame or frame["gradient"].isna().any():
            return None
        return float(frame["gradient"].iloc[len(frame) // 2 :].mean())
    if of in OF_WEIGHTS:
        analysis, measure = OF_WEIGHTS[of]
        values = record.analysis(analysis)
        return None if values is None else measure(values)
    value = record.summary.get(of)
    return None if value is None else float(value)


def _machine(record: RunRecord) -> tuple[str, ...]:
    return tuple(str(record.summary.get(key)) for key in ("device", "engine", "runs_at_once"))


def _text(values: Sequence[float], of: str, at: float) -> str:
    if of == "seconds":
        return f"{fmean(values) / 60:.1f} min"
    if of == "gradient" or of in OF_WEIGHTS:
        return f"{fmean(values):.3g} {of.replace('_', ' ')}"
    form = ".3g" if of == "train_loss" else ".2f"  # losses end near 0
    text = f"{fmean(values):{form}}"
    text += f" ± {stdev(values):{form}}" if len(values) > 1 else ""
    if of == "train_loss":
        return f"{text} loss at {at:,.0f}"
    return f"{text} in training" if of == "train_error" else text
