"""How often the claims are decided, and how often wrongly, if the papers' numbers are the truth.

python -m experiments.tables.decided        writes results/claims_decided.csv

Runs are drawn around the published test errors, with deviations of their own that the rules do not
know. What is compared by other measures, or with rows whose errors nobody has published, is left
out; so is a claim of which nothing remains.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pandas as pd

from experiments.papers import datasets, published
from experiments.papers.claims import Claim, claims, rows_in
from experiments.tables.claims import UNDECIDED, Judged, decide
from experiments.verdicts.inference import Sample, pooled
from experiments.verdicts.measure import Row
from experiments.verdicts.priors import error_sample, prior_of
from experiments.verdicts.simulation import SEEDS, draw
from records.files import ROOT
from records.names import FULL

DRAWS = 100
PATH = ROOT / "results" / "claims_decided.csv"
CHANCE = 90.0  # error in percent of a network that has not learnt to tell ten classes apart

Key = tuple[str, str]  # experiment and data set


def decided(draws: int = DRAWS) -> pd.DataFrame:
    """Percent of draws in which each claim is decided rightly and wrongly, by the seeds a row."""
    rng = np.random.default_rng(0)
    told = list(simulated())
    true = [verdict_of(claim, exact_row) for claim in told]
    lines = []
    for seeds in SEEDS:
        counts = np.zeros((len(told), 2))
        for _ in range(draws):
            rows = _drawn(told, seeds, rng)
            for number, claim in enumerate(told):
                found = verdict_of(claim, rows.__getitem__)
                counts[number] += found == true[number], found not in (true[number], UNDECIDED)
        for claim, (right, wrong) in zip(told, 100 * counts / draws, strict=True):
            lines.append({"claim": claim.name, "seeds": seeds, "right": right, "wrong": wrong})
    return pd.DataFrame(lines)


def table() -> pd.DataFrame:
    """The committed results as text: a line a claim, a column a number of seeds."""
    frame = pd.read_csv(PATH)
    everything = frame.groupby("seeds")[["right", "wrong"]].mean().reset_index()
    frame = pd.concat([frame, everything.assign(claim="all of them, on average")])
    frame["cell"] = [
        f"{right:.0f} / {wrong:.0f} / {100 - right - wrong:.0f}"
        for right, wrong in frame[["right", "wrong"]].to_numpy()
    ]
    wide = frame.pivot_table(
        index="claim", columns="seeds", values="cell", aggfunc="first", sort=False
    )
    heads = {n: "1 seed a row" if n == 1 else f"{n} seeds" for n in wide.columns}
    return wide.rename(columns=heads).reset_index().rename(columns={"claim": "Claim"})


def simulated() -> Iterator[Claim]:
    """The claims, each with those of its comparisons that published test errors decide."""
    for claim in claims():
        kept = tuple(one for one in claim.comparisons if _is_known(one))
        if kept:
            yield replace(claim, comparisons=kept)


def _is_known(comparison: Mapping[str, Any]) -> bool:
    if comparison.get("of", "test_error") != "test_error":
        return False
    return all(_published(*key) is not None for key in _keys(comparison))


def _keys(comparison: Mapping[str, Any]) -> list[Key]:
    dataset = comparison.get("data", "cifar10_aug")
    return [(row, dataset) for row in rows_in(comparison)]


@cache
def _published(experiment: str, dataset: str) -> float | None:
    """The test error of a row in percent, by its own table where that gives it."""
    own = experiment.rpartition("/")[0]
    for name in sorted(published.titles(), key=lambda name: name != own):
        line = published.Line(name, experiment, dataset)
        if published.metric(name) == published.ERROR and (numbers := published.reported(line)):
            number = published.typical(numbers)
            return CHANCE if number.statistic == "fail" else number.value
    return None


def verdict_of(claim: Claim, row: Callable[[Key], Row]) -> str:
    """What is found of a claim, given its rows."""
    findings = [decide(one, [row(key) for key in _keys(one)]) for one in claim.comparisons]
    return Judged(claim, findings).verdict


def exact_row(key: Key) -> Row:
    """A row whose error is known as published."""
    value = _published(*key)
    assert value is not None, "only such rows are kept"
    return Row(Sample(value, 0.0, 1, 1), value == CHANCE, False, "")


def _drawn(told: Sequence[Claim], seeds: int, rng: np.random.Generator) -> dict[Key, Row]:
    """So many runs of every row, as the rules see them."""
    keys = {key: None for claim in told for one in claim.comparisons for key in _keys(one)}
    runs = {}
    for key in keys:
        value, images = _published(*key), datasets.test_images(key[1])
        assert value is not None
        runs[key] = draw(rng, value, seeds, images)
    prior = prior_of("test_error", FULL, [])
    if seeds > 1:
        spread = [(stdev(values), seeds, fmean(values), datasets.test_images(data))
                  for (_, data), values in runs.items()]  # fmt: skip
        prior = pooled(spread) or prior
    return {
        key: Row(error_sample(values, key[1], prior), _published(*key) == CHANCE, False, "")
        for key, values in runs.items()
    }


if __name__ == "__main__":
    decided().to_csv(PATH, index=False, float_format="%.1f", lineterminator="\n")
    print(PATH.relative_to(ROOT))
