"""Our number against the published one, with the spread of both."""

import math
from statistics import stdev

from experiments.papers import published
from experiments.verdicts.aggregate import Measured

RULE = (
    "Verdict: a difference inside two standard deviations (the margin) is *reproduced*, outside it "
    "our error is *better* or *worse*; *undecided* where nobody knows the deviation; *fails* where "
    "no run of ours trains, *fails in part* where some do not. Means are compared where the paper "
    "gives one. The deviation is pooled from our runs and the paper's where either has several; "
    "where that leaves fewer than three degrees of freedom, independent reproductions count too, "
    "whose protocols differ (from three on; else a quarter of their acceptance band)."
)
INTERVAL = (
    "Interval: where the mean of our runs lies, with 95 % confidence by Student's t. It narrows "
    "with runs; two standard deviations do not, because the paper's run is one draw itself."
)
# Degrees of freedom below which a deviation is not trusted alone.
ENOUGH = 3
Deviation = tuple[float, int]


def spread(
    ours: Deviation | None, paper: Deviation | None, others: Deviation | None
) -> float | None:
    """Standard deviation to judge a difference by, or None where nobody knows one.

    Args:
        ours, paper: sample standard deviation and number of runs, where there are several.
        others: the same of independent reproductions, which count where the runs are few.
    """
    known = [pair for pair in (ours, paper) if pair is not None]
    if others is not None and sum(runs - 1 for _, runs in known) < ENOUGH:
        known.append(others)
    if not known:
        return None
    freedom = sum(runs - 1 for _, runs in known)
    return math.sqrt(sum((runs - 1) * std**2 for std, runs in known) / freedom)


def others_deviation(experiment: str, dataset: str) -> Deviation | None:
    """Deviation and number of independent reproductions of a row.

    Of fewer than three, their acceptance band speaks: four deviations wide, and no surer than two
    runs.
    """
    values = published.reproductions(experiment, dataset)
    if len(values) >= 3:
        return stdev(values), len(values)
    band = published.band(experiment, dataset)
    return None if band is None else ((band[1] - band[0]) / 4, 2)


def verdict(measured: Measured | None, paper: float, std: float | None, *, fails: bool) -> str:
    """One of: not run, reproduced, better, worse, undecided, fails, fails as in the paper.

    Args:
        measured: our runs, if there are any.
        paper: the published error in percent.
        std: the spread, see `spread`; None where nobody knows it.
        fails: whether the paper reports that the row fails to train.
    """
    if measured is None:
        return "not run"
    if measured.value is None:
        return "fails as in the paper" if fails else "fails"
    if fails:
        return "does not fail"
    if measured.failed:
        return "fails in part"
    if std is None:
        return "undecided"
    if abs(measured.value - paper) <= 2 * std:
        return "reproduced"
    return "better" if measured.value < paper else "worse"
