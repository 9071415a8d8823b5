"""The paper's number as a sample: its own deviation, its number of runs, its statistic."""

from dataclasses import replace
from statistics import fmean, stdev

import numpy as np
import pytest

from experiments.papers.schema import Published
from experiments.verdicts.inference import Prior, difference, sample
from experiments.verdicts.verdict import compare, paper_sample, widened

PRIOR = Prior(0.65, 6)
TABLE = "he2015_residual/table6"


def published(value: float, **more: object) -> Published:
    return Published(
        table=TABLE, experiment=f"{TABLE}/resnet110", dataset="cifar10_aug", label="ResNet",
        metric="test_error", value=f"{value:.2f}", source="-", **more,
    )  # fmt: skip


@pytest.mark.parametrize("theirs", [1, 3, 5])
def test_equal_rows_are_seldom_told_apart(theirs: int) -> None:
    """Forty runs of ours, and a few of the paper's with or without a printed deviation."""
    rng = np.random.default_rng(theirs)
    told, draws = 0, 2_000
    for _ in range(draws):
        # The row's own deviation, as the prior has it: 0.17 and six degrees of freedom.
        deviation = PRIOR.deviation(7.0, 10_000) * (6 / rng.chisquare(6)) ** 0.5
        ours, paper = (rng.normal(7.0, deviation, runs).tolist() for runs in (40, theirs))
        spread = {"std": stdev(paper), "statistic": "mean_std"} if theirs > 1 else {}
        number = published(fmean(paper), n_runs=theirs, **spread)
        one = sample(ours, PRIOR.deviation(fmean(ours), 10_000), PRIOR.freedom)
        low, high = difference(one, paper_sample(number, "cifar10_aug", PRIOR))
        told += not low <= 0 <= high
    assert told / draws == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize(("runs", "ratio"), [(5, (np.pi / 2) ** 0.5), (2, 1.0), (1, 1.0)])
def test_a_median_says_less_than_a_mean(runs: int, ratio: float) -> None:
    """Of normal values, by the square root of pi / 2; that of two is their mean."""
    median, mean = (
        paper_sample(published(6.61, n_runs=runs, statistic=name), "cifar10_aug", PRIOR)
        for name in ("median5", "last")
    )
    assert median.error == pytest.approx(ratio * mean.error)


@pytest.mark.parametrize(("one", "other"), [(1, 5), (3, 3), (5, 1)])
def test_two_measured_rows_are_near_whichever_comes_first(one: int, other: int) -> None:
    """Rows that differ by just the margin are called near in one case of twenty."""
    rng = np.random.default_rng(one)
    near, draws, margin = 0, 2_000, 0.5
    for _ in range(draws):
        deviation = PRIOR.deviation(7.0, 10_000) * (6 / rng.chisquare(6)) ** 0.5
        errors = rng.normal(7.0, deviation, one), rng.normal(7.0 + margin, deviation, other)
        first, second = (
            sample(values.tolist(), PRIOR.deviation(values.mean(), 10_000), PRIOR.freedom)
            for values in errors
        )
        verdicts = {
            compare(*pair, margin, printed=False) == "reproduced"
            for pair in ((first, second), (second, first))
        }
        assert len(verdicts) == 1
        near += verdicts.pop()
    assert near / draws < 0.07


def test_the_best_of_several_runs_says_less_than_their_mean() -> None:
    """The interval of a row's best of five holds the best of the paper's five as often as said."""
    rng = np.random.default_rng(0)
    told, draws = 0, 2_000
    for _ in range(draws):
        deviation = PRIOR.deviation(7.0, 10_000) * (6 / rng.chisquare(6)) ** 0.5
        ours, paper = rng.normal(7.0, deviation, (2, 5))
        number = published(paper.min(), n_runs=5, statistic="best")
        made = sample(ours.tolist(), PRIOR.deviation(ours.mean(), 10_000), PRIOR.freedom)
        best = replace(made, mean=ours.min(), widen=widened("best", 5))
        low, high = difference(best, paper_sample(number, "cifar10_aug", PRIOR))
        told += not low <= 0 <= high
    assert told / draws == pytest.approx(0.05, abs=0.03)
