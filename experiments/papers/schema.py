"""The schema of the published facts, results/paper/*.csv: what every cell may contain."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic.dataclasses import dataclass

from records.command import CommandError

ERROR, TOP5, HOURS = "test_error", "test_error_top5", "train_hours"
Metric = Literal["test_error", "test_error_top5", "train_hours", "layers", "params_millions"]
Statistic = Literal[
    "", "last", "best", "median5", "mean_std", "best_val", "quoted", "reading", "fail",
]  # fmt: skip
CELLS = ConfigDict(extra="forbid")


class PublishedError(CommandError):
    """A table or row is not among the published ones, or one of their files has a mistake."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds a control character")
    return text


Text = Annotated[str, Field(max_length=400), AfterValidator(_printable)]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
TestName = Annotated[str, Field(pattern=r"^[a-z0-9_]*$")]  # as eval.py names its file
TableName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+/[A-Za-z0-9_]+$")]
Experiment = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+/[A-Za-z0-9_]+/[A-Za-z0-9_]+$")]
Positive = Annotated[float, Field(ge=0, le=10**9, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Amount = Annotated[int, Field(ge=0, le=10**15)]
Digits = Annotated[str, Field(pattern=r"^\d+(\.\d+)?$", max_length=12)]  # as a number is printed


@dataclass(frozen=True, config=CELLS)
class Published:
    """A published number: results/paper/<paper>.csv.

    Attributes:
        value: the digits as printed.
        std, n_runs: its standard deviation and number of runs, if given.
        statistic: how it is computed from its runs.
    """

    once: ClassVar = ("table", "experiment", "dataset", "test", "metric", "statistic")

    table: TableName
    experiment: Experiment
    dataset: Word
    label: Text
    metric: Metric
    value: Digits
    source: Text
    std: Positive | None = None
    n_runs: Count | None = None
    statistic: Statistic = ""
    note: Text = ""
    test: TestName = ""

    @model_validator(mode="after")
    def check(self) -> Self:
        """Reject an error that is not a percentage."""
        if self.metric in (ERROR, TOP5) and float(self.value) > 100:
            raise ValueError(f"value={self.value} is not a percentage")
        return self

    @property
    def number(self) -> float:
        """Its value as a float."""
        return float(self.value)

    @property
    def deviation(self) -> tuple[float, int] | None:
        """Standard deviation and number of runs, or None unless both are known."""
        return None if self.std is None or self.n_runs is None else (self.std, self.n_runs)


@dataclass(frozen=True, config=CELLS)
class Paper:
    """A paper: its id, citation, title and address, and whether the others compare with it."""

    once: ClassVar = ("paper",)

    paper: Word
    cited: Text
    title: Text
    url: Annotated[str, Field(pattern=r"^https://[!-~]+$")]
    compared: Literal["", "yes"] = ""

    @property
    def name(self) -> str:
        """Its id."""
        return self.paper


@dataclass(frozen=True, config=CELLS)
class Table:
    """A table or figure with published numbers: results/paper/tables.csv.

    Attributes:
        test: how its networks are tested, if not as during training: the name of the file that
            `eval.py save=true` writes into a record, such as `ten_crop` or `single_320_320`.
        across: what the paper prints side by side; empty if it prints a line per number, as ours
            do.
    """

    once: ClassVar = ("table",)

    table: TableName
    title: Text
    metric: Literal["test_error", "test_error_top5", "train_hours"]
    test: TestName = ""
    across: Literal["", "data", "layers", "method", "test"] = ""


@dataclass(frozen=True, config=CELLS)
class Dataset:
    """A data set: results/paper/datasets.csv.

    Attributes:
        short: the papers' abbreviation: C10+ with augmentation, C10 without.
        margin: percentage points by which a reproduced test error may differ from the published
            one.
        fingerprint: of the data that every full recipe must have seen, if known.
    """

    once: ClassVar = ("dataset",)

    dataset: Word
    short: Text
    title: Text
    train_images: Count
    test_images: Count
    margin: Percent
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] | None = None


@dataclass(frozen=True, config=CELLS)
class Reproduction:
    """What an independent reproduction reports: results/paper/reproductions.csv."""

    experiment: Experiment
    dataset: Word
    value: Percent
    protocol: Word
    source: Text
    note: Text = ""


@dataclass(frozen=True, config=CELLS)
class Layer:
    """A cell of a paper's architecture table: results/paper/layers.csv."""

    once: ClassVar = ("table", "experiment", "layer")

    table: TableName
    experiment: Experiment
    label: Text
    layer: Text
    output: Text = ""
    structure: Text = ""
    gflops: Text = ""


@dataclass(frozen=True, config=CELLS)
class BuiltLayer:
    """A layer of a network as built: results/architecture.csv."""

    once: ClassVar = ("experiment", "layer")

    experiment: Experiment
    layer: Text
    output: Text
    structure: Text
    params: Amount
    macs: Amount


@dataclass(frozen=True, config=CELLS)
class Deviation:
    """Where ours differs from a paper, or how we read it: results/paper/deviations.csv."""

    recipe: Word
    setting: Text
    deviation: Text
    reason: Text
