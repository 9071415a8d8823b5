"""A row as its records measured it: an error, the time, or its parameters, with what is known of
the spread."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from experiments.papers import published
from experiments.papers.rows import facts
from experiments.verdicts.inference import Prior, Sample
from experiments.verdicts.priors import ERRORS, error_sample, measured_errors, time_sample
from experiments.verdicts.records import RunRecord
from experiments.verdicts.tested import as_tested

OF = (*ERRORS, "seconds", "params")


@dataclass(frozen=True)
class Row:
    """A row by one of its measures.

    Attributes:
        sample: its runs that train; of parameters, which have no spread, one without deviation;
            None where there is none.
        failed: whether most of its runs fail to train.
        missing: whether there are no runs.
        text: its name and the value, as they are printed.
        machines: device, engine and runs at once of every run: what a time depends on.
    """

    sample: Sample | None
    failed: bool
    missing: bool
    text: str
    machines: frozenset[tuple[str, ...]] = frozenset()


def row_of(
    experiment: str, dataset: str, of: str, records: Sequence[RunRecord], prior: Prior
) -> Row:
    """A row's runs among `records`, by a measure; `prior` is that of errors."""
    name = experiment.rpartition("/")[2]
    if of == "params":
        row = facts(experiment, dataset)
        assert row is not None
        exact = Sample(row.params, 0.0, 1, 1)
        return Row(exact, False, False, f"{name} {row.params / 1e6:.2f}M")
    runs = [r for r in records if (r.experiment, r.dataset) == (experiment, dataset)]
    table = experiment.rpartition("/")[0]
    if of == "test_error" and table in published.titles():
        runs = as_tested(runs, table)[0]  # as the row's own table tests it
    if not runs:
        return Row(None, False, True, f"{name} not run")
    working = len(measured_errors("test_error", runs))
    failed = 2 * working < len(runs)
    values = _values(of, runs, failed=failed)
    if not values:
        return Row(None, True, False, f"{name} fails")
    some = f" ({len(runs) - working} fail)" if 0 < working < len(runs) else ""
    measured = error_sample(values, dataset, prior) if of in ERRORS else time_sample(values)
    machines = frozenset(_machine(record) for record in runs)
    return Row(measured, failed, False, f"{name} {_text(values, of)}{some}", machines)


def _values(of: str, runs: Sequence[RunRecord], *, failed: bool) -> list[float]:
    """The numbers of the runs that train. Where most fail, their training error can still be asked
    for, as long as the loss is finite."""
    if of == "train_error" and failed:
        return [float(r.summary[of]) for r in runs if r.summary[of] is not None and not r.diverged]
    if of in ERRORS:
        return measured_errors(of, runs)
    return [float(record.summary[of]) for record in runs if measured_errors("test_error", [record])]


def _text(values: Sequence[float], of: str) -> str:
    if of == "seconds":
        return f"{fmean(values) / 60:.1f} min"
    text = f"{fmean(values):.2f}"
    text += f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{text} in training" if of == "train_error" else text


def _machine(record: RunRecord) -> tuple[str, ...]:
    return tuple(str(record.summary.get(key)) for key in ("device", "engine", "runs_at_once"))
