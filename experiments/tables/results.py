"""A line of a paper's table in numbers: what is published, what we measured, how they compare."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from experiments.papers import datasets, published
from experiments.papers.published import Line, PublishedError
from experiments.papers.rows import facts
from experiments.verdicts.aggregate import Measured, aggregate, mean, working_error
from experiments.verdicts.inference import MEDIAN, Prior, Sample
from experiments.verdicts.priors import error_sample, measured_errors
from experiments.verdicts.records import RunRecord
from experiments.verdicts.tested import as_tested
from experiments.verdicts.verdict import ALIKE, NEAR, paper_sample, runs_to_decide, verdict
from experiments.verdicts.verdict import compare as compare_samples
from records.files import ROOT

NOT_RUN, NOT_TESTED, QUOTED = "not run", "not tested", "quoted"


@dataclass(frozen=True)
class Comparison:
    """Our number against the published one.

    Attributes:
        verdict: None where the two are no matter of error, as hours on two machines, or the
            published one was read off a figure, to half a point.
        measured: by the paper's statistic.
        difference: ours less the published one.
        interval: where our mean lies, with 90 % confidence: what decides whether it is reproduced.
        needed: how many runs would decide what is undecided, were our mean to stay.
        others: ours against independent reproductions of the same protocol, where there are some.
    """

    verdict: str | None
    measured: Measured
    difference: float | None = None
    interval: tuple[float, float] | None = None
    needed: str | None = None
    others: str | None = None


@dataclass(frozen=True)
class Result:
    """A line of a table.

    Attributes:
        top5: our top-5 error, where the networks were tested for it.
        runs, untested: our runs with the test that the table asks for, and those without.
        best: our best run's error, where the paper gives that of its own.
        choices: our mean error at the `last` epoch, at the `best`, and `at_best_val`.
    """

    line: Line
    top5: float | None
    runs: int
    untested: int
    best: float | None
    choices: dict[str, float | None]
    comparison: Comparison

    @property
    def row(self) -> tuple[str, str]:
        """Experiment and data set."""
        return self.line.row

    @property
    def compared(self) -> bool:
        """Whether a run of ours was held against a published number."""
        return self.comparison.verdict not in (NOT_RUN, NOT_TESTED, QUOTED, None)


def result(line: Line, runs: Sequence[RunRecord], prior: Prior) -> Result:
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
    records, untested = as_tested(runs, line.test)
    statistics = {number.statistic for number in line.reported}
    working = [record for record in records if working_error(record) is not None]
    if row is None:
        comparison = Comparison(QUOTED, aggregate([], "last"))
    elif untested and all(record.diverged for record in records):
        comparison = Comparison(NOT_TESTED, aggregate([], "last"))
    else:
        comparison = compare(line, records, prior)
    return Result(
        line=line,
        top5=mean(record.summary.get(published.TOP5) for record in records),
        runs=len(records),
        untested=untested,
        best=aggregate(records, "best").value if "best" in statistics else None,
        choices={
            which: mean(record.error(which) for record in working)
            for which in ("last", "best", "at_best_val")
        },
        comparison=comparison,
    )


def compare(line: Line, records: Sequence[RunRecord], prior: Prior) -> Comparison:
    """Our runs of a row against what a paper reports of it, and against others'."""
    if not line.reported:  # a row that the table gives no number of, or a top-5 error only
        return Comparison(None if records else NOT_RUN, aggregate(records, "last"))
    if published.tables()[line.table].metric == published.HOURS:
        return Comparison(None if records else NOT_RUN, _hours(records))
    paper = published.typical(line.reported)
    measured, fails = aggregate(records, paper.statistic), paper.statistic == "fail"
    margin, theirs = datasets.of(line.dataset).margin, paper_sample(paper, line.dataset, prior)
    ours = _sample(measured, records, paper.statistic, line.dataset, prior)
    decision = verdict(
        ours, theirs, margin, runs=measured.runs, failed=measured.failed, fails=fails
    )
    if ours is None or fails:
        return Comparison(decision, measured)
    others = None
    if len(line.reproductions) > 1:
        theirs_too = error_sample(line.reproductions, line.dataset, prior)
        others = ALIKE[compare_samples(ours, theirs_too, margin)]
    told = None if paper.statistic == "reading" else decision
    return Comparison(
        told,
        measured,
        difference=ours.mean - paper.number,
        interval=ours.interval(NEAR),
        needed=runs_to_decide(ours, theirs, margin) if told == "undecided" else None,
        others=others,
    )


def _sample(
    measured: Measured,
    records: Sequence[RunRecord],
    statistic: str,
    dataset: str,
    prior: Prior,
) -> Sample | None:
    """The runs that train, around the paper's statistic of them."""
    if measured.value is None:
        return None
    which = "at_best_val" if statistic == "best_val" else "last"
    made = error_sample(measured_errors("test_error", records, which), dataset, prior)
    median = statistic == "median5" and measured.runs > 2
    return replace(made, mean=measured.value, widen=MEDIAN if median else 1.0)


def _hours(records: Sequence[RunRecord]) -> Measured:
    seconds = [record.seconds for record in records if not record.diverged]
    hours = [value / 3600 for value in seconds if value is not None]
    return Measured(mean(hours), None, len(hours))
