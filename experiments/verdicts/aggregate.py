"""From the runs of a row to one number: one function for each statistic a paper reports."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

from experiments.verdicts.records import RunRecord
from records.names import FULL

# He et al. 2016, Table 1: an error above 20 % is printed as a failure. That is said of CIFAR-10;
# on sets with more classes networks that train well lie above it.
FAIL_ABOVE = {"cifar10": 20.0, "cifar10_aug": 20.0, "svhn": 20.0}


@dataclass(frozen=True)
class Measured:
    """A row as we measured it.

    Attributes:
        value: in percent, by the paper's statistic; None where every run failed.
        std: sample standard deviation over the runs, None for a single one.
        runs: number of runs in `value`.
        failed: runs that diverged or ended above `FAIL_ABOVE`; never part of `value`.
    """

    value: float | None
    std: float | None
    runs: int
    failed: int = 0


def last(errors: Sequence[float]) -> float:
    """Mean over the runs of the error at the last iteration."""
    return fmean(errors)


def best(errors: Sequence[float]) -> float:
    """The best run's error at the last iteration (He et al. 2015, Table 6: "best (mean ± std)")."""
    return min(errors)


def median5(errors: Sequence[float]) -> float:
    """Median over the runs (He et al. 2016, Table 1: median of five)."""
    return median(errors)


STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "last": last,
    "reading": last,
    "fail": last,
    "best": best,
    "median5": median5,
    "mean_std": last,
    "best_val": last,
}


def aggregate(records: Sequence[RunRecord], statistic: str) -> Measured | None:
    """The runs of one row by a paper's statistic, or None where there are no runs."""
    if not records:
        return None
    which = "at_best_val" if statistic == "best_val" else "last"
    errors = [error for record in records if (error := working_error(record, which)) is not None]
    failed = len(records) - len(errors)
    if not errors:
        return Measured(None, None, 0, failed)
    std = stdev(errors) if len(errors) > 1 else None
    return Measured(STATISTICS[statistic](errors), std, len(errors), failed)


def working_error(record: RunRecord, which: str = "last") -> float | None:
    """Test error at the last iteration, or `at_best_val`; None for a run that failed.

    What an error tells of failure is known of full recipes only.
    """
    full = record.summary["preset"] == FULL
    error, limit = record.error(which), FAIL_ABOVE.get(record.dataset if full else "", math.inf)
    return None if record.diverged or error is None or error > limit else error
