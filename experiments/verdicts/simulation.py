"""How often the verdict rules decide, and how often wrongly, on simulated runs.

python -m experiments.verdicts.simulation        writes results/decisions.csv
"""

from collections import Counter
from statistics import fmean

import numpy as np
import pandas as pd

from experiments.verdicts.inference import Prior, Sample, difference, pooled, sample, spread_of
from experiments.verdicts.verdict import compare
from records.files import ROOT

SEEDS = (1, 2, 5, 40)
GAPS = (0.0, 0.26, 0.6, 1.5)
RATE, IMAGES, MARGIN = 7.0, 10_000, 0.5  # a row's error in percent, test images, margin in points
RATIO, SCATTER = 0.7, 0.4  # rows' deviations over the binomial one: median, and spread of its log
ROWS = 12  # rows of three runs each that a prior is pooled from
DRAWS = 2_000
PATH = ROOT / "results" / "decisions.csv"
SHARES = {
    "right": "Claim right (%)", "wrong": "Claim wrong (%)", "reproduced": "Reproduced (%)",
    "better": "Better (%)", "worse": "Worse (%)",
}  # fmt: skip


def decisions(draws: int = DRAWS) -> pd.DataFrame:
    """Percentage of draws in which a difference is decided rightly or wrongly, and a published
    number called reproduced, better or worse, by true difference in points and seeds per row.

    The paper's number is a single run. Every row has its own deviation, and the rules know none of
    them: they see only runs.
    """
    rng = np.random.default_rng(0)
    lines = []
    for gap in GAPS:
        for seeds in SEEDS:
            counts = Counter[str]()
            for _ in range(draws):
                prior = draw_prior(rng)
                low, high, paper = (
                    draw_row(rng, RATE + shift, runs, prior)
                    for shift, runs in ((0.0, seeds), (gap, seeds), (gap, 1))
                )
                lower, upper = difference(high, low)
                counts["right"] += bool(gap) and lower > 0
                counts["wrong"] += upper < 0 or (not gap and lower > 0)
                counts[compare(low, paper, MARGIN)] += 1
            share = {name: 100 * counts[name] / draws for name in SHARES}
            lines.append({"gap": gap, "seeds": seeds, **share})
    return pd.DataFrame(lines)


def table() -> pd.DataFrame:
    """The committed results as text, one line per true difference and number of seeds."""
    frame = pd.read_csv(PATH)
    return pd.DataFrame({
        "True difference": frame["gap"].map("{:.2f}".format),
        "Seeds per row": frame["seeds"].astype(str),
        **{head: frame[name].map("{:.1f}".format) for name, head in SHARES.items()},
    })  # fmt: skip


def draw_prior(rng: np.random.Generator) -> Prior:
    """Draw a prior, pooled from `ROWS` rows of three runs each."""
    drawn = (draw(rng, RATE, 3) for _ in range(ROWS))
    prior = pooled(spread_of(values, IMAGES) for values in drawn)
    assert prior is not None
    return prior


def draw_row(rng: np.random.Generator, rate: float, runs: int, prior: Prior) -> Sample:
    """Draw the runs of a row, as the rules see them."""
    values = draw(rng, rate, runs)
    return sample(values, prior.deviation(fmean(values), IMAGES), prior.freedom)


def draw(rng: np.random.Generator, rate: float, runs: int, images: int = IMAGES) -> list[float]:
    """Draw the errors in percent of a row's runs, with a deviation drawn for the row."""
    known = Prior(RATIO * float(np.exp(SCATTER * rng.standard_normal())), 1)
    return [float(x) for x in rng.normal(rate, known.deviation(rate, images), runs)]


if __name__ == "__main__":
    decisions().to_csv(PATH, index=False, float_format="%.2f", lineterminator="\n")
    print(PATH.relative_to(ROOT))
