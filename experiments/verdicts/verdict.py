"""Our number against the published one, and against those of others."""

from experiments.papers import datasets
from experiments.papers.published import Number
from experiments.verdicts.inference import Prior, Sample, difference

RULE = (
    "Verdict: *reproduced* where our mean is shown to lie within a stated margin of the published "
    "number (0.5 points on CIFAR-10 and ImageNet, 1.0 on CIFAR-100, 0.2 on SVHN: about what one "
    "run of the paper's may be off by), that is, its 90 % interval does; else *better* or *worse* "
    "where the 95 % interval of the difference, the paper's own spread included, does not hold 0; "
    "else *undecided*: more seeds will tell. *Fails* where most runs do not train, *fails in part* "
    "where some do not. A run's deviation is that of the row's runs, with the pooled one of all "
    "rows weighed in as six degrees of freedom."
)
INTERVAL = "Interval: where the mean of infinitely many of our runs lies, with 95 % confidence."
NEAR = 0.90  # two one-sided tests of 5 % each
ALIKE = {"reproduced": "as others", "better": "below others", "worse": "above others",
         "undecided": "undecided"}  # fmt: skip


def paper_sample(number: Number, dataset: str, prior: Prior) -> Sample:
    """A published number as runs: its own deviation where it has one, else what the prior expects
    of the runs it is of (one, where that is not said)."""
    runs = number.runs or 1
    if number.deviation:
        return Sample(number.value, number.deviation[0], prior.freedom + runs - 1, runs)
    expected = prior.deviation(number.value, datasets.test_images(dataset))
    return Sample(number.value, expected, prior.freedom, runs)


def compare(ours: Sample, theirs: Sample, margin: float) -> str:
    """One of: reproduced, better, worse, undecided.

    Args:
        margin: by which ours may differ and be near; `theirs` counts as exact there, since the
            margin is what it may be off by.
    """
    low, high = ours.interval(NEAR)
    if theirs.mean - margin <= low and high <= theirs.mean + margin:
        return "reproduced"
    low, high = difference(ours, theirs)
    if low <= 0 <= high:
        return "undecided"
    return "better" if high < 0 else "worse"


def verdict(
    ours: Sample | None, theirs: Sample, margin: float, *, runs: int, failed: int, fails: bool
) -> str:
    """One of: not run, reproduced, better, worse, undecided, fails, fails in part, fails as in the
    paper, trains unlike in the paper.

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
        return "trains unlike in the paper"
    if failed or ours is None:
        return "fails in part"
    return compare(ours, theirs, margin)
