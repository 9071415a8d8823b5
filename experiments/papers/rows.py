"""What every row trains, as counted from its config and network: results/rows.csv, and
results/tenth/rows.csv with a tenth of the schedule."""

from dataclasses import dataclass
from functools import cache

import pandas as pd

from experiments.papers.sums import committed
from records.files import ROOT
from records.names import FULL, KEPT


@dataclass(frozen=True)
class RowFacts:
    """What a row trains on one data set, by a preset.

    Attributes:
        iterations, batch: of its recipe.
        depth: weighted layers of its network.
        params, macs: of its network, `macs` for one image.
        hash: of the settings that decide its numbers, seed apart.
    """

    experiment: str
    dataset: str
    recipe: str
    iterations: int
    batch: int
    depth: int
    params: int
    macs: int
    hash: str


@cache
def all_rows(preset: str = FULL) -> dict[tuple[str, str], RowFacts]:
    """Every row with each of its data sets, by a preset whose records are kept."""
    path = ROOT / "results" / KEPT[preset] / "rows.csv"
    frame = pd.read_csv(committed(path), dtype={"hash": str})
    facts = [RowFacts(*line) for line in frame.itertuples(index=False, name=None)]
    return {(fact.experiment, fact.dataset): fact for fact in facts}


def facts(experiment: str, dataset: str, preset: str = FULL) -> RowFacts | None:
    """The facts of a row, or None for one that is quoted only."""
    return all_rows(preset).get((experiment, dataset))
