"""The prior of `inference`: how far runs of a row lie apart, estimated from many rows."""

from collections.abc import Iterable, Sequence
from functools import cache
from statistics import fmean, stdev

from experiments.papers import datasets, published
from experiments.verdicts.aggregate import working_error
from experiments.verdicts.inference import Prior, Sample, binomial, pooled, sample, spread_of
from experiments.verdicts.records import RunRecord
from records.names import FULL

ERRORS = ("test_error", "train_error")
ENOUGH = 3  # degrees of freedom at which our own runs are used alone
# Deviation over mean of a measure that is no error, e.g. a time, where no row has several runs: an
# assumption, which counts as little as a prior can.
ASSUMED = Prior(0.05, 1)

Group = Sequence[RunRecord]  # runs that differ in their seed alone
Ratios = list[tuple[float, int]]  # a deviation over the binomial one, and the number of runs


def prior_of(of: str, preset: str, groups: Iterable[Group]) -> Prior:
    """The prior for errors of runs with a preset.

    Test errors of the full schedule pool the rows of which we have several runs and the published
    deviations. Training errors, and other schedules, use our rows alone once they have `ENOUGH`
    degrees of freedom, and until then the published deviations too.

    Args:
        of: `test_error` or `train_error`.
        groups: our runs of each row with that preset.
    """
    ours = _ours(of, groups)
    if of == "test_error" and preset == FULL:
        ours += _published()
    if sum(runs - 1 for _, runs in ours) >= ENOUGH and (measured := pooled(ours)):
        return measured
    return pooled([*ours, *_published()]) or Prior(1.0, 1)


def prior_of_shares(groups: Iterable[Sequence[float]]) -> Prior:
    """The prior for a measure that is no error, as a share of its mean, from the values of groups
    of runs."""
    several = [values for values in groups if len(values) > 1 and fmean(values)]
    return (
        pooled((stdev(values) / abs(fmean(values)), len(values)) for values in several) or ASSUMED
    )


def error_sample(values: Sequence[float], dataset: str, prior: Prior) -> Sample:
    """Make a sample of the errors of a row's runs, in percent."""
    expected = prior.deviation(fmean(values), datasets.of(dataset).test_images)
    return sample(values, expected, prior.freedom)


def measured_errors(of: str, records: Sequence[RunRecord], which: str = "last") -> list[float]:
    """Errors in percent of those runs that train; test errors at the `last` iteration or
    `at_best_val`."""
    values = [
        working_error(record, which) if of == "test_error" else record.summary[of]
        for record in records
        if working_error(record, which) is not None
    ]
    return [float(value) for value in values if value is not None]


def _ours(of: str, groups: Iterable[Group]) -> Ratios:
    ratios = Ratios()
    for runs in groups:
        values = measured_errors(of, runs)
        if len(values) > 1:
            ratios.append(spread_of(values, datasets.of(runs[0].dataset).test_images))
    return ratios


@cache
def _published() -> Ratios:
    """Every published deviation, each once however often it is quoted."""
    known = {
        line.row: (number.number, *number.deviation)
        for table in published.tables()
        if published.tables()[table].metric == published.ERROR
        for line in published.lines(table)
        for number in line.reported
        if number.deviation
    }
    return [
        (std / binomial(mean, datasets.of(dataset).test_images), runs)
        for (_, dataset), (mean, std, runs) in known.items()
    ]
