"""How often the claims are decided, and how often wrongly, if the papers' numbers are true.

python -m experiments.tables.decided        writes results/claims_decided.csv

Runs are drawn around the published test errors, with a deviation for each row that the rules do not
know. Comparisons by other measures, or with rows that have no published error, are left out, and so
are claims with no comparison left.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd

from experiments.papers import datasets, published
from experiments.papers.claims import Claim, claims, rows_in
from experiments.tables.claims import UNDECIDED, Judged, decide
from experiments.verdicts.inference import Sample, pooled, spread_of
from experiments.verdicts.measure import Row
from experiments.verdicts.priors import error_sample, prior_of
from experiments.verdicts.simulation import SEEDS, draw
from records.files import ROOT
from records.names import FULL

DRAWS = 100
PATH = ROOT / "results" / "claims_decided.csv"
CHANCE = 90.0  # error in percent of guessing among ten classes


def decided(draws: int = DRAWS) -> pd.DataFrame:
    """Percentage of draws in which each claim is decided rightly and wrongly, by seeds per row."""
    rng = np.random.default_rng(0)
    claimed = list(simulated())
    true = [verdict_of(claim, exact(claim)) for claim in claimed]
    lines = []
    for seeds in SEEDS:
        counts = np.zeros((len(claimed), 2))
        for _ in range(draws):
            rows = _drawn(claimed, seeds, rng)
            for number, claim in enumerate(claimed):
                verdict = verdict_of(claim, rows)
                counts[number] += verdict == true[number], verdict not in (true[number], UNDECIDED)
        for claim, (right, wrong) in zip(claimed, 100 * counts / draws, strict=True):
            lines.append({"claim": claim.name, "seeds": seeds, "right": right, "wrong": wrong})
    return pd.DataFrame(lines)


def table() -> pd.DataFrame:
    """The committed results as text: one line per claim, one column per number of seeds."""
    frame = pd.read_csv(PATH)
    everything = frame.groupby("seeds")[["right", "wrong"]].mean().reset_index()
    frame = pd.concat([frame, everything.assign(claim="all claims, on average")])
    frame["cell"] = [
        f"{right:.0f} / {wrong:.0f} / {100 - right - wrong:.0f}"
        for right, wrong in frame[["right", "wrong"]].to_numpy()
    ]
    wide = frame.pivot_table(
        index="claim", columns="seeds", values="cell", aggfunc="first", sort=False
    )
    heads = {n: "1 seed per row" if n == 1 else f"{n} seeds" for n in wide.columns}
    return wide.rename(columns=heads).reset_index().rename(columns={"claim": "Claim"})


def simulated() -> Iterator[Claim]:
    """Yield each claim with only those of its comparisons that published test errors decide."""
    for claim in claims():
        kept = tuple(
            one
            for one in claim.comparisons
            if one.get("of", "test_error") == "test_error" and errors().keys() >= set(rows_in(one))
        )
        if kept:
            yield replace(claim, comparisons=kept)


@cache
def errors() -> dict[tuple[str, str], float]:
    """Published test error in percent of every row that has one, by experiment and data set; from
    the row's own table if that gives it."""
    known: dict[tuple[str, str], float] = {}
    for table in published.tables():
        if published.tables()[table].metric != published.ERROR:
            continue
        for line in published.lines(table):
            is_better = line.row not in known or line.experiment.startswith(f"{table}/")
            if is_better and not line.own_test and (numbers := line.reported):
                number = published.typical(numbers)
                known[line.row] = CHANCE if number.statistic == "fail" else number.number
    return known


def verdict_of(claim: Claim, samples: Mapping[tuple[str, str], Sample]) -> str:
    """The verdict on a claim, given samples of its rows."""
    rows = {row: Row(one, errors()[row] == CHANCE, False, "") for row, one in samples.items()}
    findings = [decide(one, [rows[row] for row in rows_in(one)]) for one in claim.comparisons]
    return Judged(claim, findings).verdict


def exact(claim: Claim) -> dict[tuple[str, str], Sample]:
    """Samples of a claim's rows, as if the published errors were exact."""
    return {row: Sample(errors()[row], 0.0, 1, 1) for row in claim.rows}


def _drawn(
    claimed: Sequence[Claim], seeds: int, rng: np.random.Generator
) -> dict[tuple[str, str], Sample]:
    """Draw `seeds` runs of every row, as the rules see them."""
    rows = dict.fromkeys(row for claim in claimed for row in claim.rows)
    runs = {row: draw(rng, errors()[row], seeds, datasets.of(row[1]).test_images) for row in rows}
    prior = prior_of("test_error", FULL, [])
    if seeds > 1:
        drawn = (spread_of(v, datasets.of(data).test_images) for (_, data), v in runs.items())
        prior = pooled(drawn) or prior
    return {row: error_sample(values, row[1], prior) for row, values in runs.items()}


if __name__ == "__main__":
    decided().to_csv(PATH, index=False, float_format="%.1f", lineterminator="\n")
    print(PATH.relative_to(ROOT))
