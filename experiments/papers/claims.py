"""The papers' claims as comparisons, read from results/paper/claims.yaml; its head says how."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from experiments.papers.published import PAPER, PublishedError
from experiments.papers.rows import facts
from experiments.papers.sums import committed

KINDS = ({"lower", "than"}, {"fails"}, {"below", "row"}, {"above", "row"}, {"near", "to", "within"},
         {"share", "to", "between"})  # fmt: skip
# Of the curve: the training loss at an iteration, the gradient at the first block in the second
# half of training. Of the weights: the standard deviation of layers' responses, their mean; over
# how many of its inputs a layer of a dense block spreads them; how often transitions get the least.
MEASURES = ("test_error", "train_error", "train_loss", "gradient", "responses", "weight_spread",
            "transition_least", "seconds", "params", "macs")  # fmt: skip
OPTIONS = {"of", "data", "times", "at"}


@dataclass(frozen=True)
class Claim:
    """What a paper says, where, and the comparisons that all have to hold."""

    name: str
    source: str
    statement: str
    comparisons: tuple[Mapping[str, Any], ...]


def claims() -> list[Claim]:
    """Every claim.

    Raises:
        PublishedError: one has a mistake.
    """
    path = PAPER / "claims.yaml"
    content: Any = OmegaConf.to_container(OmegaConf.load(committed(path)))
    known = []
    for entry in content:
        claim = Claim(entry["claim"], entry["source"], entry["statement"],
                      tuple(entry["comparisons"]))  # fmt: skip
        for comparison in claim.comparisons:
            if mistake := mistake_in(comparison):
                raise PublishedError(f"{path}, claim {claim.name!r}: {mistake}.")
        known.append(claim)
    return known


def mistake_in(comparison: Mapping[str, Any]) -> str | None:
    """What is wrong with a comparison, if anything."""
    keys = comparison.keys() - OPTIONS
    if keys not in KINDS:
        return f"{dict(comparison)} is no comparison"
    if comparison.get("of", "test_error") not in MEASURES:
        return f"of: {comparison['of']} is unknown; choose one of {', '.join(MEASURES)}"
    dataset = comparison.get("data", "cifar10_aug")
    for row in rows_in(comparison):
        if facts(row, dataset) is None:
            return f"{row} is trained on {dataset} by no table"
    return None


def rows_in(comparison: Mapping[str, Any]) -> list[str]:
    """The rows that a comparison needs."""
    return [str(comparison[key])
            for key in ("lower", "than", "fails", "row", "near", "share", "to")
            if key in comparison]  # fmt: skip
