"""Our number against the published one, and against other reproductions."""

from dataclasses import replace

from experiments.papers import datasets
from experiments.papers.published import Published
from experiments.verdicts.inference import (
    MEDIAN,
    MOST_SEEDS,
    Prior,
    Sample,
    difference,
    least_of,
    reported,
)

RULE = (
    "Verdict: *reproduced* if the 90 % interval of our mean lies within a margin of the published "
    "number (0.5 points on CIFAR-10 and ImageNet, 1.0 on CIFAR-100, 0.2 on SVHN: at least as far "
    "as a single run of the paper's may be off); otherwise *better* or *worse* if the 95 % "
    "interval of the difference, which includes the paper's own spread, excludes 0; otherwise "
    "*undecided*. *Fails*: most runs do not train (their loss is not finite, or their error above "
    "20 % on CIFAR-10 and SVHN, 90 % on CIFAR-100 and ImageNet); *fails in part*: some do not. A "
    "single run shows no spread, so a row's spread is estimated from its own runs and from other "
    "rows, ours and the papers', which count as up to six further runs. A number read off a figure "
    "(~) gets no verdict, nor does the best of several runs where ours are more or fewer."
)
NEAR = 0.90  # two one-sided tests of 5 % each
INTERVAL = (
    "90 % interval: where the mean of infinitely many of our runs would lie (beside the best of "
    "several, their best)."
)
NEEDED = (
    "Runs to decide: how many of our runs would settle the verdict if their mean stayed the same; "
    "as it will move, that is about an even chance."
)
ALIKE = {"reproduced": "as others", "better": "below others", "worse": "above others",
         "undecided": "undecided"}  # fmt: skip


def paper_sample(number: Published, dataset: str, prior: Prior) -> Sample:
    """A published number as a sample, with the number of runs behind it (one if not stated) and
    their deviation, if it is published."""
    runs, spread = number.n_runs or 1, number.deviation
    expected = prior.deviation(number.number, datasets.of(dataset).test_images)
    known = reported(number.number, spread[0] if spread else None, runs, expected, prior.freedom)
    return replace(known, widen=widened(number.statistic, runs))


def widened(statistic: str, runs: int) -> float:
    """The standard error of a statistic over that of the mean."""
    if statistic == "best":
        return least_of(runs)
    return MEDIAN if statistic == "median5" and runs > 2 else 1.0


def compare(ours: Sample, theirs: Sample, margin: float, *, printed: bool = True) -> str:
    """One of: reproduced, better, worse, undecided.

    Args:
        margin: by which ours may differ and count as reproduced.
        printed: whether `theirs` is a paper's number, which counts as exact there, since the margin
            is what it may be off by.
    """
    exact = replace(theirs, deviation=0.0) if printed else theirs
    low, high = difference(ours, exact, NEAR)
    if -margin <= low and high <= margin:
        return "reproduced"
    low, high = difference(ours, theirs)
    if low <= 0 <= high:
        return "undecided"
    return "better" if high < 0 else "worse"


def runs_to_decide(ours: Sample, theirs: Sample, margin: float) -> str:
    """How many runs of ours would settle an undecided verdict if their mean stays the same."""
    for runs in range(ours.runs + 1, MOST_SEEDS + 1):
        if compare(ours.of(runs), theirs, margin) != "undecided":
            return str(runs)
    return f"over {MOST_SEEDS}"


def verdict(
    ours: Sample | None, theirs: Sample, margin: float, *, runs: int, failed: int, fails: bool
) -> str:
    """One of: not run, reproduced, better, worse, undecided, fails, fails in part, fails as in the
    paper, trains contrary to the paper.

    Args:
        ours: the runs that train, if any do.
        runs, failed: how many train, and how many do not.
        fails: whether the paper reports that the row fails to train.
    """
    if not runs + failed:
        return "not run"
    if failed > runs:
        return "fails as in the paper" if fails else "fails"
    if fails:
        return "trains contrary to the paper"
    if failed or ours is None:
        return "fails in part"
    return compare(ours, theirs, margin)
