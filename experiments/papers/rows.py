"""What every row trains, as counted from its config and network: results/rows.csv, and
results/tenth/rows.csv with a tenth of the schedule."""

from functools import cache
from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from experiments.papers.reading import read
from experiments.papers.schema import CELLS, Amount, Count, Experiment, Word
from records.files import ROOT
from records.names import FULL, KEPT


@dataclass(frozen=True, config=CELLS)
class RowFacts:
    """What a row trains on one data set with one preset.

    Attributes:
        iterations, batch: of its recipe.
        depth: weighted layers of its network.
        params, macs: of its network, `macs` for one image.
        hash: of the settings that decide its numbers, except the seed.
    """

    once: ClassVar = ("experiment", "dataset")

    experiment: Experiment
    dataset: Word
    recipe: Word
    iterations: Count
    batch: Count
    depth: Count
    params: Amount
    macs: Amount
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


@cache
def all_rows(preset: str = FULL) -> dict[tuple[str, str], RowFacts]:
    """Every row on each of its data sets, for a preset whose records are kept."""
    path = ROOT / "results" / KEPT[preset] / "rows.csv"
    return {(fact.experiment, fact.dataset): fact for fact in read(path, RowFacts)}


def facts(experiment: str, dataset: str, preset: str = FULL) -> RowFacts | None:
    """The facts of a row, or None for one that is only quoted."""
    return all_rows(preset).get((experiment, dataset))
