"""A line of a paper's table in numbers: what is published, what we measured, how they compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from experiments.papers import published
from experiments.papers.published import Line, Number, PublishedError
from experiments.papers.rows import facts
from experiments.verdicts.aggregate import Measured, aggregate
from experiments.verdicts.records import RunRecord
from experiments.verdicts.tested import as_tested
from experiments.verdicts.verdict import others_deviation, spread, verdict
from records.files import ROOT

NOT_RUN, NOT_TESTED, QUOTED = "not run", "not tested", "quoted"


@dataclass(frozen=True)
class Comparison:
    """Our number against the published one.

    Attributes:
        verdict: None where the two are no matter of error, as hours on two machines.
        measured: by the paper's statistic; None where nothing has run.
        difference: ours less the published one.
        margin: the difference that is inside the spread; None where nobody knows it.
    """

    verdict: str | None
    measured: Measured | None = None
    difference: float | None = None
    margin: float | None = None


@dataclass(frozen=True)
class Result:
    """A line of a table.

    Attributes:
        layers: as the paper counts them.
        params: of the network as built, None for a row that is quoted only.
        printed: millions of parameters, as published.
        numbers: what the paper reports, by its statistics.
        top5: the published top-5 error where it stands beside another number, and ours.
        others: the acceptance band of independent reproductions, and what each reports.
        runs, untested: our runs with the test that the table asks for, and those without.
        best: our best run's error, where the paper gives that of its own.
    """

    line: Line
    label: str
    layers: int | None
    params: int | None
    printed: float | None
    numbers: Sequence[Number]
    top5: tuple[float | None, float | None]
    others: tuple[tuple[float, float] | None, Sequence[float]]
    runs: int
    untested: int
    best: float | None
    comparison: Comparison

    @property
    def row(self) -> tuple[str, str]:
        """Experiment and data set."""
        return self.line.experiment, self.line.dataset

    @property
    def compared(self) -> bool:
        """Whether a run of ours was held against a published number."""
        return self.comparison.verdict not in (NOT_RUN, NOT_TESTED, QUOTED, None)


def result(line: Line, runs: Sequence[RunRecord]) -> Result:
    """A line of a table, with the runs of its row that count.

    Raises:
        PublishedError: nobody has counted what its row trains.
    """
    row = facts(line.experiment, line.dataset)
    if row is None and (ROOT / "conf" / "experiment" / f"{line.experiment}.yaml").exists():
        raise PublishedError(
            f"{line.experiment} on {line.dataset} is not in results/rows.csv: run "
            "`make architecture` (its table in conf/table lists the row and its data)."
        )
    records, untested = as_tested(runs, line.table)
    numbers = published.reported(line)
    layers, best = published.value(line, "layers"), aggregate(records, "best")
    if row is None:
        comparison = Comparison(QUOTED)
    elif untested and all(record.diverged for record in records):
        comparison = Comparison(NOT_TESTED)
    else:
        comparison = compare(line, numbers, records)
    return Result(
        line=line,
        label=published.label(line),
        layers=None if layers is None else round(layers),
        params=row.params if row else None,
        printed=published.value(line, "params_millions"),
        numbers=numbers,
        top5=(_published_top5(line), _our_top5(records)),
        others=_others(line),
        runs=len(records),
        untested=untested,
        best=best.value if best and "best" in {n.statistic for n in numbers} else None,
        comparison=comparison,
    )


def compare(line: Line, numbers: Sequence[Number], records: Sequence[RunRecord]) -> Comparison:
    """Our runs of a row against what a paper reports of it."""
    if not numbers:
        return Comparison(NOT_RUN)
    if published.metric(line.table) == "train_hours":
        return Comparison(None if records else NOT_RUN, _hours(records))
    # A mean where there is one.
    paper = next((number for number in numbers if number.statistic == "mean_std"), numbers[0])
    measured, fails = aggregate(records, paper.statistic), paper.statistic == "fail"
    std = spread(
        measured.deviation if measured else None,
        paper.deviation,
        others_deviation(line.experiment, line.dataset),
    )
    decision = verdict(measured, paper.value, std, fails=fails)
    if measured is None or measured.value is None or fails:
        return Comparison(decision, measured)
    margin = None if std is None else 2 * std
    return Comparison(decision, measured, measured.value - paper.value, margin)


def _hours(records: Sequence[RunRecord]) -> Measured | None:
    hours = [record.summary["seconds"] / 3600 for record in records if not record.diverged]
    return Measured(fmean(hours), None, len(hours)) if hours else None


def _published_top5(line: Line) -> float | None:
    if published.metric(line.table) == published.TOP5:
        return None  # the table's own number
    return published.value(line, published.TOP5)


def _our_top5(records: Sequence[RunRecord]) -> float | None:
    """The mean over the runs, where the networks were tested for it."""
    key = published.TOP5
    errors = [float(record.summary[key]) for record in records if key in record.summary]
    return fmean(errors) if errors else None


def _others(line: Line) -> tuple[tuple[float, float] | None, list[float]]:
    if published.metric(line.table) != published.ERROR:
        return None, []
    row = line.experiment, line.dataset
    return published.band(*row), sorted(published.reproductions(*row))
