"""Published numbers, read from results/paper: the papers' and those of reproductions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from experiments.papers.schema import (
    ERROR,
    HOURS,
    TOP5,
    Paper,
    Published,
    PublishedError,
    Reproduction,
    Table,
    read,
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
    """A line of a paper's table: a row on one data set, with all that is published of it.

    Attributes:
        own_test: how it is tested, where the table shows a row by several tests.
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
        """How its network is tested, where that is not as in training; else empty."""
        return self.own_test or tables()[self.table].test

    @property
    def label(self) -> str:
        """The name the table prints for it."""
        return self.numbers[0].label

    @property
    def notes(self) -> list[str]:
        """What is to be said of it."""
        return list(dict.fromkeys(number.note for number in self.numbers if number.note))

    @property
    def reported(self) -> list[Published]:
        """What the table is about, by each statistic; empty where only top-5 is given."""
        return [one for one in self.numbers if one.metric == tables()[self.table].metric]

    @property
    def layers(self) -> str | None:
        """Its layers as the paper counts them, None where it does not."""
        return self.text("layers")

    @property
    def reproductions(self) -> list[float]:
        """Test errors in percent of independent reproductions, the lowest first, where they have
        the paper's network and recipe and the error of the last epoch (or do not say which)."""
        if tables()[self.table].metric != ERROR:
            return []
        return sorted(
            known.value
            for known in _independent()
            if (known.experiment, known.dataset, known.protocol) == (*self.row, "last")
        )

    def text(self, metric: str) -> str | None:
        """A number in the digits that it is printed with, or None where the paper gives none."""
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
    """What to say of a name that is not known: those that are near, or else all."""
    return f"Unknown {kind} {name!r}. {suggestion(name, known)}"


def test_arguments(name: str) -> list[str]:
    """What a test is called on eval.py's command line."""
    protocol, *pixels = name.split("_") if name.startswith("single") else [name]
    sizes = zip(("crop", "short"), pixels, strict=False)
    return [f"protocol={protocol}", *(f"{key}={value}" for key, value in sizes)]


def test_words(name: str) -> str:
    """What a test is called in a table."""
    if name.startswith("single"):
        pixels = name.split("_")[1:] or ["224"]
        return f"one crop of {pixels[0]}"
    if name not in TESTS:
        raise PublishedError(unknown("test", name, ["single", *TESTS]))
    return TESTS[name]


def tests() -> list[str]:
    """Every test that a line asks for."""
    return sorted({line.test for table in tables() for line in lines(table)} - {""})


def lines(table: str) -> list[Line]:
    """The lines of a table, in its order; none where nothing is published of it."""
    return _lines(paper_of(table)).get(table, []) if table in tables() else []


def rows() -> dict[tuple[str, str], Line]:
    """Every row that has published numbers, by experiment and data set, in the first line that it
    has in any table."""
    known: dict[tuple[str, str], Line] = {}
    for table in tables():
        for line in lines(table):
            known.setdefault(line.row, line)
    return known


def typical(numbers: Sequence[Published]) -> Published:
    """What is reported of a row's runs in general: their mean where there is one."""
    return next((number for number in numbers if number.statistic == "mean_std"), numbers[0])


@cache
def _independent() -> list[Reproduction]:
    return read(PAPER / "reproductions.csv", Reproduction)


def runs_of(table: str, experiment: str, dataset: str) -> int:
    """How many runs the paper made of a row: 1 where it does not say.

    Where the table publishes no number of the row, the row's own table is asked.
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
