"""The papers' claims as comparisons, read from results/paper/claims.yaml (format at its head)."""

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Annotated, Any

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict  # pydantic needs that of Python 3.12

from experiments.papers.published import PAPER
from experiments.papers.rows import facts
from experiments.papers.schema import CELLS, Experiment, Positive, PublishedError, Text, Word
from experiments.papers.sums import committed

KINDS = ({"lower", "than"}, {"fails"}, {"below", "row"}, {"above", "row"}, {"near", "to", "within"},
         {"share", "to", "between"})  # fmt: skip
# From the curve: the training loss at an iteration, the gradient at the first block in the second
# half of training. From the weights: the mean standard deviation of layer responses; the share of
# its inputs over which a layer of a dense block spreads them; how often transitions get the least.
MEASURES = ("test_error", "train_error", "train_loss", "gradient", "responses", "weight_spread",
            "transition_least", "seconds", "params", "macs")  # fmt: skip
OPTIONS = {"of", "data", "times", "at"}


@with_config(ConfigDict(extra="forbid"))
class Comparison(TypedDict, total=False):
    """The keys of a comparison; `KINDS` lists which go together."""

    lower: Experiment
    than: Experiment
    fails: Experiment
    row: Experiment
    below: Positive
    above: Positive
    near: Experiment
    to: Experiment
    within: Positive
    share: Experiment
    between: Annotated[list[Positive], Field(min_length=2, max_length=2)]
    of: Word
    data: Word
    times: Annotated[Positive, Field(gt=0)]
    at: Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=CELLS)
class Claim:
    """A paper's statement, its source, and the comparisons that all have to hold."""

    claim: Text
    source: Text
    statement: Text
    comparisons: Annotated[tuple[Comparison, ...], Field(min_length=1)]

    @property
    def name(self) -> str:
        """The name of the claim."""
        return self.claim

    @property
    def rows(self) -> list[tuple[str, str]]:
        """The rows that it needs, each once, with its data set."""
        return list(dict.fromkeys(row for one in self.comparisons for row in rows_in(one)))


@cache
def claims() -> tuple[Claim, ...]:
    """Read every claim.

    Raises:
        PublishedError: a claim has a mistake.
    """
    path = PAPER / "claims.yaml"
    try:
        content = yaml.safe_load(committed(path).read_text(encoding="utf-8"))
        known = TypeAdapter(list[Claim]).validate_python(content)
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        raise PublishedError(f"{path} is not valid YAML: {str(error).splitlines()[0]}.") from None
    except ValidationError as error:
        raise PublishedError(f"{path}, {_place(error, content)}.") from None
    if len(names := {claim.name for claim in known}) < len(known):
        twice = next(name for name in names if sum(c.name == name for c in known) > 1)
        raise PublishedError(f"{path}, claim {twice!r}: it is there twice; delete or rename one.")
    for claim in known:
        for comparison in claim.comparisons:
            if mistake := mistake_in(comparison):
                raise PublishedError(f"{path}, claim {claim.name!r}: {mistake}.")
    return tuple(known)


def _place(error: ValidationError, content: Any) -> str:
    """The place of the first mistake, and what it is."""
    first = error.errors()[0]
    if not first["loc"]:
        return "it is not a list of claims"
    number, *inner = first["loc"]
    with suppress(LookupError, TypeError):
        number = ascii(content[number]["claim"])[:80]
    return f"claim {number}: {'.'.join(map(str, inner))}: {first['msg']}"


def mistake_in(comparison: Mapping[str, Any]) -> str | None:
    """What is wrong with a comparison, if anything."""
    keys = comparison.keys() - OPTIONS
    if keys not in KINDS:
        return f"{dict(comparison)} is not a comparison"
    if comparison.get("of", "test_error") not in MEASURES:
        return f"of: {comparison['of']} is unknown; choose one of {', '.join(MEASURES)}"
    for row, dataset in rows_in(comparison):
        if facts(row, dataset) is None:
            return f"no table trains {row} on {dataset}"
    return None


def rows_in(comparison: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The rows that a comparison needs, each with its data set."""
    dataset = comparison.get("data", "cifar10_aug")
    return [(comparison[key], dataset)
            for key in ("lower", "than", "fails", "row", "near", "share", "to")
            if key in comparison]  # fmt: skip
