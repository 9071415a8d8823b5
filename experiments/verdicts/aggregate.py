"""Reduce the runs of a row to one number, by the statistic that its paper reports."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

from experiments.verdicts.records import RunRecord
from records.names import FULL

# He et al. 2016, Table 1: an error above 20 % is printed as a failure. This is for CIFAR-10; with
# more classes, networks that train well lie above it, but none close to chance.
FAIL_ABOVE = {
    "cifar10": 20.0, "cifar10_aug": 20.0, "svhn": 20.0,
    "cifar100": 90.0, "cifar100_aug": 90.0, "imagenet": 90.0,
}  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """A row as we measured it.

    Attributes:
        value: in percent, by the paper's statistic; None if no run trained.
        std: sample standard deviation over the runs, None for a single one.
        runs: number of runs in `value`.
        failed: runs that diverged or ended above `FAIL_ABOVE`; never part of `value`.
    """

    value: float | None
    std: float | None
    runs: int
    failed: int = 0


# For any other statistic, the mean over the runs.
STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "best": min,  # He et al. 2015, Table 6: "best (mean ± std)"
    "median5": median,  # He et al. 2016, Table 1: median of five
}


def aggregate(records: Sequence[RunRecord], statistic: str) -> Measured:
    """Summarise the runs of one row by a paper's statistic."""
    which = "at_best_val" if statistic == "best_val" else "last"
    errors = [error for record in records if (error := working_error(record, which)) is not None]
    value = STATISTICS.get(statistic, fmean)(errors) if errors else None
    std = stdev(errors) if len(errors) > 1 else None
    return Measured(value, std, len(errors), len(records) - len(errors))


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are not None, or None if there are none."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def working_error(record: RunRecord, which: str = "last") -> float | None:
    """Test error at the last iteration, or `at_best_val`; None for a run that failed.

    The limit of `FAIL_ABOVE` holds for full schedules only.
    """
    full = record.summary["preset"] == FULL
    error, limit = record.error(which), FAIL_ABOVE.get(record.dataset if full else "", math.inf)
    return None if record.diverged or error is None or error > limit else error
