"""What the means of a few runs say: Student's and Welch's intervals, with a prior of the deviation.

One run has no deviation, and two or three have a poor one. Runs of other rows say how far runs lie
apart, so their pooled deviation is weighed in as if `PRIOR_FREEDOM` more runs of the row itself had
shown it (the conjugate prior of a normal variance). One seed a row then decides what lies far
apart, nothing that is near, and many seeds decide by themselves.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, variance

from scipy.special import stdtrit

PRIOR_FREEDOM = 6  # degrees of freedom that a prior counts for, at most
CONFIDENCE = 0.95
MOST_SEEDS = 200  # a difference that takes more is not worth them
MEDIAN = math.sqrt(math.pi / 2)  # standard error of a median, to that of the mean, of normal values
# Rates are taken for no rarer than this, in percent: of an error near 0 a set tells no deviation.
RAREST = 0.1


@dataclass(frozen=True)
class Prior:
    """How far runs of any row lie apart: their deviation, in units of the binomial one of an error
    rate on so many images, and the degrees of freedom it was seen with."""

    ratio: float
    freedom: int

    def deviation(self, rate: float, images: int) -> float:
        """Deviation of a run's error in percent points, given the rate in percent."""
        return self.ratio * binomial(rate, images)


@dataclass(frozen=True)
class Sample:
    """Runs of a row by one measure.

    Attributes:
        mean: or another centre of theirs, whose standard error is `widen` times that of the mean.
        deviation: of a single run, with the prior weighed in.
        freedom: of the deviation, those of the prior included.
    """

    mean: float
    deviation: float
    freedom: float
    runs: int
    widen: float = 1.0

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return self.widen * self.deviation / math.sqrt(self.runs)

    def times(self, factor: float) -> "Sample":
        """The same runs by so many times their measure."""
        return replace(self, mean=factor * self.mean, deviation=factor * self.deviation)

    def of(self, runs: int) -> "Sample":
        """As it would be with so many runs that are alike."""
        return replace(self, runs=runs, freedom=self.freedom - self.runs + runs)

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Where the mean of infinitely many runs lies."""
        half = _t(self.freedom, confidence) * self.error
        return self.mean - half, self.mean + half


def binomial(rate: float, images: int) -> float:
    """Deviation in percent points of an error rate in percent on so many images drawn anew."""
    share = min(max(rate, RAREST), 100 - RAREST) / 100
    return 100 * math.sqrt(share * (1 - share) / images)


def pooled(rows: Iterable[tuple[float, int, float, int]]) -> Prior | None:
    """The prior that rows tell: deviation, number of runs, mean in percent and images of each."""
    known = [(std / binomial(mean, images), runs - 1) for std, runs, mean, images in rows]
    freedom = sum(free for _, free in known)
    if not freedom:
        return None
    square = sum(free * ratio**2 for ratio, free in known) / freedom
    return Prior(math.sqrt(square), min(freedom, PRIOR_FREEDOM))


def sample(values: Sequence[float], deviation: float, freedom: float) -> Sample:
    """Runs, given the deviation that the prior expects, and its degrees of freedom."""
    more = len(values) - 1
    square = freedom * deviation**2 + (more * variance(values) if more else 0.0)
    return Sample(fmean(values), math.sqrt(square / (freedom + more)), freedom + more, len(values))


def difference(one: Sample, other: Sample) -> tuple[float, float]:
    """Where the true difference `one` - `other` lies: Welch's interval.

    Both samples hold the same prior, which counts once: no more degrees of freedom are taken than
    the runs of both and one prior have.
    """
    gap, (first, second) = one.mean - other.mean, (one.error**2, other.error**2)
    total = first + second
    if total == 0:
        return gap, gap
    welch = total**2 / (first**2 / one.freedom + second**2 / other.freedom)
    freedom = min(welch, max(one.freedom + other.runs - 1, other.freedom + one.runs - 1))
    half = _t(freedom, CONFIDENCE) * math.sqrt(total)
    return gap - half, gap + half


def seeds_to_decide(one: Sample, other: Sample, gap: float) -> int | None:
    """How many runs a row would decide a difference, if it stays as large as it is now; None where
    even `MOST_SEEDS` would not."""
    for runs in range(2, MOST_SEEDS + 1):
        low, high = difference(one.of(runs), other.of(runs))
        if (high - low) / 2 < abs(gap):
            return runs
    return None


def _t(freedom: float, confidence: float) -> float:
    return float(stdtrit(freedom, (1 + confidence) / 2))
