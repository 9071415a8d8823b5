"""Published numbers, read from results/paper: the papers' and those of reproductions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from experiments.papers.reading import read
from experiments.papers.schema import (
    ERROR,
    HOURS,
    TOP5,
    Paper,
    Published,
    PublishedError,
    Reproduction,
    Table,
)
from records.files import ROOT
from records.words import suggestion

__all__ = ["ERROR", "HOURS", "TOP5", "Paper", "PublishedError"]
PAPER = ROOT / "results" / "paper"
TESTS = {
    "ten_crop": "ten crops", "multi_scale": "five scales", "dense": "three scales",
    "crops_144": "144 crops",
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A line of a paper's table: a row on one data set, with all its published numbers.

    Attributes:
        own_test: how it is tested, if the table shows a row under several tests; else empty.
    """

    table: str
    experiment: str
    dataset: str
    own_test: str
    numbers: tuple[Published, ...]

    @property
    def row(self) -> tuple[str, str]:
        """Experiment and data set."""
        return self.experiment, self.dataset

    @property
    def test(self) -> str:
        """How its network is tested, if not as during training; else empty."""
        return self.own_test or tables()[self.table].test

    @property
    def label(self) -> str:
        """The name the table prints for it."""
        return self.numbers[0].label

    @property
    def notes(self) -> list[str]:
        """The notes on its numbers."""
        return list(dict.fromkeys(number.note for number in self.numbers if number.note))

    @property
    def reported(self) -> list[Published]:
        """Its numbers in the table's metric, by statistic; empty if only top-5 is given."""
        return [one for one in self.numbers if one.metric == tables()[self.table].metric]

    @property
    def layers(self) -> str | None:
        """Its number of layers as the paper counts them, or None if it does not."""
        return self.text("layers")

    @property
    def reproductions(self) -> list[float]:
        """Test errors in percent of independent reproductions, lowest first: those with the paper's
        network and recipe that report the error of the last epoch (or do not say which)."""
        if tables()[self.table].metric != ERROR:
            return []
        return sorted(
            known.value
            for known in _independent()
            if (known.experiment, known.dataset, known.protocol) == (*self.row, "last")
        )

    def text(self, metric: str) -> str | None:
        """A number as printed, or None if the paper gives none."""
        return next((number.value for number in self.numbers if number.metric == metric), None)


@cache
def papers() -> list[Paper]:
    """The papers, in their order."""
    return read(PAPER / "papers.csv", Paper)


@cache
def tables() -> dict[str, Table]:
    """Every table and figure with published numbers, by its name `<paper>/<table>`."""
    return {table.table: table for table in read(PAPER / "tables.csv", Table)}


def paper_of(name: str) -> str:
    """The paper of a table, figure or row."""
    return name.partition("/")[0]


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for an unknown name, with the known ones that are near, or else all."""
    return f"Unknown {kind} {name!r}. {suggestion(name, known)}"


def test_arguments(name: str) -> list[str]:
    """A test as arguments of eval.py."""
    protocol, *pixels = name.split("_") if name.startswith("single") else [name]
    sizes = zip(("crop", "short"), pixels, strict=False)
    return [f"protocol={protocol}", *(f"{key}={value}" for key, value in sizes)]


def test_words(name: str) -> str:
    """A test as a table words it."""
    if name.startswith("single"):
        pixels = name.split("_")[1:] or ["224"]
        return f"one crop of {pixels[0]}"
    if name not in TESTS:
        raise PublishedError(unknown("test", name, ["single", *TESTS]))
    return TESTS[name]


def tests() -> list[str]:
    """Every test that a line of some table uses."""
    return sorted({line.test for table in tables() for line in lines(table)} - {""})


def lines(table: str) -> list[Line]:
    """The lines of a table, in its order; empty if nothing is published of it."""
    return _lines(paper_of(table)).get(table, []) if table in tables() else []


def rows() -> dict[tuple[str, str], Line]:
    """Every row with published numbers, by experiment and data set, as its first line in any
    table."""
    known: dict[tuple[str, str], Line] = {}
    for table in tables():
        for line in lines(table):
            known.setdefault(line.row, line)
    return known


def typical(numbers: Sequence[Published]) -> Published:
    """The number that stands for a row's runs: their mean if there is one, else the first."""
    return next((number for number in numbers if number.statistic == "mean_std"), numbers[0])


@cache
def _independent() -> list[Reproduction]:
    return read(PAPER / "reproductions.csv", Reproduction)


def runs_of(table: str, experiment: str, dataset: str) -> int:
    """How many runs the paper made of a row: 1 if it does not say.

    If this table publishes no number of the row, the row's own table decides.
    """
    for source in (table, experiment.rpartition("/")[0]):
        for line in lines(source):
            if line.row == (experiment, dataset):
                return max((number.n_runs or 1 for number in line.reported), default=1)
    return 1


@cache
def _lines(paper: str) -> dict[str, list[Line]]:
    """The lines of a paper's tables, in their order."""
    path, groups = PAPER / f"{paper}.csv", dict[tuple[str, str, str, str], list[Published]]()
    for number in read(path, Published):
        if paper_of(number.table) != paper:
            raise PublishedError(f"{path}: {number.table} is not a table of this paper.")
        key = number.table, number.experiment, number.dataset, number.test
        groups.setdefault(key, []).append(number)
    known: dict[str, list[Line]] = {}
    for key, group in groups.items():
        known.setdefault(key[0], []).append(Line(*key, tuple(group)))
    return known
