"""Intervals for the means of a few runs: Student's and Welch's, with a prior on the deviation.

One run has no deviation, and two or three estimate it poorly. Other rows show how far runs lie
apart, so their deviations are weighed in as if a few more runs of the row itself had shown them
(the conjugate prior of a normal variance; Smyth 2004, Section 3): the fewer, the more the rows
differ. One seed per row then decides large differences but no small ones, and with many seeds the
prior hardly matters.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev, variance

import numpy as np
from scipy.special import digamma, ndtr, polygamma, stdtrit

FREEDOMS = (1, 2, 3, 4, 5, 6)  # degrees of freedom that a prior may count for
LEAST_RATIO = 0.05  # that a row shows: runs that happen to be equal do not say that all will be
CONFIDENCE = 0.95
MOST_SEEDS = 200  # a difference that needs more is not worth deciding
MEDIAN = math.sqrt(math.pi / 2)  # standard error of a median over that of the mean, normal values
# Lowest rate assumed, in percent: an error near 0 on a finite set says nothing of its deviation.
RAREST = 0.1


@dataclass(frozen=True)
class Prior:
    """How far runs of any row lie apart: the ratio of their deviation to another one (for errors,
    the binomial one on the test images), and the degrees of freedom that it counts for."""

    ratio: float
    freedom: int

    def deviation(self, rate: float, images: int) -> float:
        """Deviation of a run's error in percentage points, given the rate in percent."""
        return self.ratio * binomial(rate, images)


@dataclass(frozen=True)
class Sample:
    """Runs of a row by one measure.

    Attributes:
        mean: or another centre, whose standard error is `widen` times that of the mean.
        deviation: of a single run, with the prior weighed in.
        freedom: degrees of freedom of the deviation, including the prior's.
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
        """The same runs with their measure multiplied by a factor."""
        return replace(self, mean=factor * self.mean, deviation=factor * self.deviation)

    def of(self, runs: int) -> "Sample":
        """The sample as it would be with a different number of similar runs."""
        return replace(self, runs=runs, freedom=self.freedom - self.runs + runs)

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Confidence interval for the mean of infinitely many runs."""
        half = _t(self.freedom, confidence) * self.error
        return self.mean - half, self.mean + half


def binomial(rate: float, images: int) -> float:
    """Deviation in percentage points of an error rate in percent, over fresh draws of images."""
    share = min(max(rate, RAREST), 100 - RAREST) / 100
    return 100 * math.sqrt(share * (1 - share) / images)


def spread_of(values: Sequence[float], images: int) -> tuple[float, int]:
    """The ratio of the deviation of several errors in percent to the binomial one, and their
    number."""
    return stdev(values) / binomial(fmean(values), images), len(values)


def pooled(rows: Iterable[tuple[float, int]]) -> Prior | None:
    """Pool rows, each a ratio of deviations and a number of runs, into a prior; None if no row has
    several runs.

    Its ratio is the geometric mean, corrected for bias, so that one unstable row does not decide
    for all. The more the logarithms of the variances scatter beyond what few runs explain, the
    fewer degrees of freedom it counts for (Smyth 2004, Section 6.2), and never for more than the
    rows have.
    """
    known = [(max(ratio, LEAST_RATIO), runs - 1) for ratio, runs in rows if runs > 1]
    if not known:
        return None
    # The logarithm of a variance of n degrees of freedom has the mean and the variance of that of a
    # chi-squared variable over n.
    logs = [2 * math.log(ratio) - digamma(n / 2) + math.log(n / 2) for ratio, n in known]
    chance = fmean(polygamma(1, n / 2) for _, n in known)
    between = variance(logs) - chance if len(logs) > 1 else 0.0
    freedom = max((n for n in FREEDOMS if polygamma(1, n / 2) >= between), default=FREEDOMS[0])
    return Prior(math.exp(fmean(logs) / 2), min(freedom, sum(n for _, n in known)))


def sample(values: Sequence[float], deviation: float, freedom: float) -> Sample:
    """Make a sample of runs, given the deviation the prior expects and its degrees of freedom."""
    spread = stdev(values) if len(values) > 1 else None
    return reported(fmean(values), spread, len(values), deviation, freedom)


def reported(
    mean: float, spread: float | None, runs: int, deviation: float, freedom: float
) -> Sample:
    """Make a sample of which only the mean, the number of runs and perhaps their own deviation are
    known."""
    more = 0 if spread is None else runs - 1
    square = freedom * deviation**2 + more * (spread or 0.0) ** 2
    return Sample(mean, math.sqrt(square / (freedom + more)), freedom + more, runs)


def least_of(runs: int) -> float:
    """Standard error of the least of several normal values over that of their mean."""
    x = np.linspace(-9, 9, 10_001)
    density = np.exp(-(x**2) / 2) * ndtr(-x) ** (runs - 1)
    mean = np.average(x, weights=density)
    return math.sqrt(runs * np.average((x - mean) ** 2, weights=density))


def difference(one: Sample, other: Sample, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Welch's interval for the true difference `one` - `other`.

    Both samples include the same prior, which counts once: the degrees of freedom are capped at
    those of the runs of both and one prior.
    """
    gap, (first, second) = one.mean - other.mean, (one.error**2, other.error**2)
    total = first + second
    if total == 0:
        return gap, gap
    welch = total**2 / (first**2 / one.freedom + second**2 / other.freedom)
    freedom = min(welch, max(one.freedom + other.runs - 1, other.freedom + one.runs - 1))
    half = _t(freedom, confidence) * math.sqrt(total)
    return gap - half, gap + half


def seeds_to_decide(one: Sample, other: Sample, gap: float) -> str:
    """How many runs per row would decide a difference that stays at `gap`."""
    return _first(lambda runs: _half(difference(one.of(runs), other.of(runs))) < abs(gap))


def seeds_to_pass(one: Sample, level: float) -> str:
    """How many runs would show on which side of a level a mean is, if it stays the same."""
    return _first(lambda runs: _half(one.of(runs).interval()) < abs(one.mean - level))


def _first(decides: Callable[[int], bool]) -> str:
    """The least number of runs that decides, or that even `MOST_SEEDS` do not."""
    enough = next((runs for runs in range(2, MOST_SEEDS + 1) if decides(runs)), None)
    return f"over {MOST_SEEDS}" if enough is None else str(enough)


def _half(interval: tuple[float, float]) -> float:
    return (interval[1] - interval[0]) / 2


def _t(freedom: float, confidence: float) -> float:
    return float(stdtrit(freedom, (1 + confidence) / 2))
