"""A line of a paper's table in numbers: what is published, what we measured, how they compare."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from experiments.papers import datasets, published
from experiments.papers.published import Line, PublishedError
from experiments.papers.rows import facts
from experiments.verdicts.aggregate import Measured, aggregate, mean
from experiments.verdicts.inference import Prior, Sample
from experiments.verdicts.priors import error_sample, measured_errors
from experiments.verdicts.records import RunRecord
from experiments.verdicts.tested import as_tested
from experiments.verdicts.verdict import (
    ALIKE,
    NEAR,
    paper_sample,
    runs_to_decide,
    verdict,
    widened,
)
from experiments.verdicts.verdict import compare as compare_samples
from records.files import ROOT

NOT_RUN, NOT_TESTED, QUOTED = "not run", "not tested", "quoted"


@dataclass(frozen=True)
class Result:
    """A line of a table: our number against the published one.

    Attributes:
        records, untested: our runs with the test that the table asks for, and how many lack it.
        verdict: None if the two cannot be compared: hours on two machines, the best of other
            numbers of runs, or a published number read off a figure, to half a point.
        measured: by the paper's statistic.
        difference: ours minus the published one.
        interval: the 90 % interval of our mean, which decides whether it is reproduced.
        needed: how many runs would settle an undecided verdict if our mean stays the same.
        others: ours against independent reproductions of the same protocol, if there are several.
    """

    line: Line
    records: Sequence[RunRecord]
    untested: int
    verdict: str | None
    measured: Measured
    difference: float | None = None
    interval: tuple[float, float] | None = None
    needed: str | None = None
    others: str | None = None


def result(line: Line, runs: Sequence[RunRecord], prior: Prior) -> Result:
    """Compare a line of a table with the runs of its row that count.

    Raises:
        PublishedError: results/rows.csv lacks its row, which is trained here.
    """
    row = facts(line.experiment, line.dataset)
    if row is None and (ROOT / "conf" / "experiment" / f"{line.experiment}.yaml").exists():
        raise PublishedError(
            f"{line.experiment} on {line.dataset} is not in results/rows.csv: run "
            "`make architecture` (its table in conf/table must list the row and data set)."
        )
    records, untested = as_tested(runs, line.test)
    if row is None:
        return Result(line, records, untested, QUOTED, aggregate([], "last"))
    if untested and all(record.diverged for record in records):
        return Result(line, records, untested, NOT_TESTED, aggregate([], "last"))
    if not line.reported:  # the table gives no number of the row, or only a top-5 error
        measured = aggregate(records, "last")
        return Result(line, records, untested, None if records else NOT_RUN, measured)
    if published.tables()[line.table].metric == published.HOURS:
        return Result(line, records, untested, None if records else NOT_RUN, _hours(records))
    return _compared(line, records, untested, prior)


def _compared(line: Line, records: Sequence[RunRecord], untested: int, prior: Prior) -> Result:
    """Compare our runs of a row with the paper's number and with other reproductions."""
    paper = published.typical(line.reported)
    measured = aggregate(records, paper.statistic)
    margin, fails = datasets.of(line.dataset).margin, paper.statistic == "fail"
    theirs = paper_sample(paper, line.dataset, prior)
    ours = _sample(line, measured, records, prior)
    decision = verdict(
        ours, theirs, margin, runs=measured.runs, failed=measured.failed, fails=fails
    )
    plain = Result(line, records, untested, decision, measured)
    if ours is None or fails:
        return plain
    if paper.statistic == "best" and measured.runs != (paper.n_runs or 1):
        return replace(plain, verdict=None)  # the best of more runs is lower
    others = None
    if len(line.reproductions) > 1:
        theirs_too = error_sample(line.reproductions, line.dataset, prior)
        others = ALIKE[compare_samples(ours, theirs_too, margin, printed=False)]
    shown = None if paper.statistic == "reading" else decision
    return replace(
        plain,
        verdict=shown,
        difference=ours.mean - paper.number,
        interval=ours.interval(NEAR),
        needed=runs_to_decide(ours, theirs, margin) if shown == "undecided" else None,
        others=others,
    )


def _sample(
    line: Line, measured: Measured, records: Sequence[RunRecord], prior: Prior
) -> Sample | None:
    """The runs that train, centred on the paper's statistic; None if none does."""
    if measured.value is None:
        return None
    statistic = published.typical(line.reported).statistic
    which = "at_best_val" if statistic == "best_val" else "last"
    made = error_sample(measured_errors("test_error", records, which), line.dataset, prior)
    return replace(made, mean=measured.value, widen=widened(statistic, measured.runs))


def _hours(records: Sequence[RunRecord]) -> Measured:
    seconds = [record.seconds for record in records if not record.diverged]
    hours = [value / 3600 for value in seconds if value is not None]
    return Measured(mean(hours), None, len(hours))
