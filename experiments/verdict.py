"""Our number against the published one, with the spread of both."""

import math

from experiments.aggregate import Measured

RULE = (
    "Verdict: a difference inside two standard deviations is *reproduced*. The deviation is pooled "
    "from our runs and the paper's where either has several, and is that of independent "
    "reproductions where neither has."
)


def spread(
    ours: tuple[float, int] | None, paper: tuple[float, int] | None, others: float | None
) -> float | None:
    """Standard deviation to judge a difference by: ours and the paper's pooled, or others'.

    Args:
        ours, paper: sample standard deviation and number of runs, where there are several.
        others: standard deviation of independent reproductions.
    """
    known = [pair for pair in (ours, paper) if pair is not None]
    if not known:
        return others
    freedom = sum(runs - 1 for _, runs in known)
    return math.sqrt(sum((runs - 1) * std**2 for std, runs in known) / freedom)


def verdict(measured: Measured | None, paper: float, std: float | None, *, fails: bool) -> str:
    """One of: not run, reproduced, better, worse, undecided, fails, fails as in the paper.

    Args:
        measured: our runs, if there are any.
        paper: the published error in percent.
        std: the spread, see `spread`; None where nobody knows it.
        fails: whether the paper reports that the row fails to train.
    """
    if measured is None:
        return "not run"
    if measured.value is None:
        return "fails as in the paper" if fails else "fails"
    if fails:
        return "does not fail"
    if measured.failed:
        return "fails in part"
    if std is None:
        return "undecided"
    if abs(measured.value - paper) <= 2 * std:
        return "reproduced"
    return "better" if measured.value < paper else "worse"
