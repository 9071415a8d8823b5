"""The prior of `inference`: how far runs of a row lie apart, estimated from many rows."""

from collections.abc import Sequence
from functools import cache
from statistics import fmean, stdev

from experiments.papers import datasets, published
from experiments.verdicts.aggregate import working_error
from experiments.verdicts.inference import PRIOR_FREEDOM, Prior, Sample, pooled, sample
from experiments.verdicts.records import RunRecord, by_row
from records.names import FULL

ERRORS = ("test_error", "train_error")
ENOUGH = 3  # degrees of freedom at which our own runs are used alone
SHARE = 0.05  # deviation over mean of measures that are not errors, e.g. times: set, not measured

Rows = list[tuple[float, int, float, int]]  # deviation, runs, mean, images


def prior_of(of: str, preset: str, records: Sequence[RunRecord]) -> Prior:
    """The prior for errors of runs with a preset.

    Test errors of the full schedule pool the rows of which we have several runs and the published
    deviations. Training errors, and other schedules, use our rows alone once they have `ENOUGH`
    degrees of freedom, and until then the published deviations too.

    Args:
        of: `test_error` or `train_error`.
        records: the records of that preset.
    """
    ours = _ours(of, records)
    if of == "test_error" and preset == FULL:
        ours += _published()
    measured = pooled(ours)
    if measured is not None and measured.freedom >= ENOUGH:
        return measured
    return pooled([*ours, *_published()]) or Prior(1.0, 1)


def error_sample(values: Sequence[float], dataset: str, prior: Prior) -> Sample:
    """Make a sample of the errors of a row's runs, in percent."""
    expected = prior.deviation(fmean(values), datasets.of(dataset).test_images)
    return sample(values, expected, prior.freedom)


def positive_sample(values: Sequence[float]) -> Sample:
    """Make a sample of a row's runs by a measure other than error: seconds, a loss, a magnitude."""
    return sample(values, SHARE * fmean(values), PRIOR_FREEDOM)


def measured_errors(of: str, records: Sequence[RunRecord], which: str = "last") -> list[float]:
    """Errors in percent of those runs that train; test errors at the `last` iteration or
    `at_best_val`."""
    values = [
        working_error(record, which) if of == "test_error" else record.summary[of]
        for record in records
        if working_error(record, which) is not None
    ]
    return [float(value) for value in values if value is not None]


def _ours(of: str, records: Sequence[RunRecord]) -> Rows:
    rows = Rows()
    for (_, dataset), runs in by_row(records).items():
        values = measured_errors(of, runs)
        if len(values) > 1:
            images = datasets.of(dataset).test_images
            rows.append((stdev(values), len(values), fmean(values), images))
    return rows


@cache
def _published() -> Rows:
    """Every published deviation, each once however often it is quoted."""
    known = {
        line.row: (*number.deviation, number.number)
        for table in published.tables()
        if published.tables()[table].metric == published.ERROR
        for line in published.lines(table)
        for number in line.reported
        if number.deviation
    }
    return [
        (std, runs, mean, datasets.of(dataset).test_images)
        for (_, dataset), (std, runs, mean) in known.items()
    ]
