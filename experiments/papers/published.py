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
from records.words import did_you_mean, nearest

__all__ = ["ERROR", "HOURS", "TOP5", "Paper", "PublishedError"]
PAPER = ROOT / "results" / "paper"
TESTS = {
    "ten_crop": "ten crops", "multi_scale": "five scales", "dense": "three scales",
    "crops_144": "144 crops",
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A line of a paper's table: a row on one data set, tested as the whole table is or, where the
    table shows a row by several tests, by `test`."""

    table: str
    experiment: str
    dataset: str
    test: str = ""

    @property
    def row(self) -> tuple[str, str]:
        """Experiment and data set."""
        return self.experiment, self.dataset


@dataclass(frozen=True)
class Number:
    """A published number: by which statistic, its deviation, and of how many runs, if told; and its
    digits as printed."""

    statistic: str
    text: str
    value: float
    std: float | None
    runs: int | None

    @property
    def deviation(self) -> tuple[float, int] | None:
        """Deviation and number of runs, where both are known."""
        return None if self.std is None or self.runs is None else (self.std, self.runs)


@cache
def numbers(paper: str) -> list[Published]:
    """All published numbers of a paper.

    Raises:
        PublishedError: there is no such paper, or its file has a mistake.
    """
    path = PAPER / f"{paper}.csv"
    if not path.exists():
        raise PublishedError(
            f"No published numbers for {paper}; choose from {', '.join(titles())}."
        )
    known = read(path, Published)
    for number in known:
        if not number.table.startswith(f"{paper}/"):
            raise PublishedError(f"{path}: {number.table} is no table of this paper.")
    return known


@cache
def papers() -> list[Paper]:
    """The papers, in their order."""
    return read(PAPER / "papers.csv", Paper)


@cache
def _tables() -> dict[str, Table]:
    return {table.table: table for table in read(PAPER / "tables.csv", Table)}


def titles() -> dict[str, str]:
    """Title of every table and figure with published numbers, by its name `<paper>/<table>`."""
    return {name: table.title for name, table in _tables().items()}


def paper_of(name: str) -> str:
    """The paper of a table, figure or row."""
    return name.partition("/")[0]


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """What to say of a name that is not known: those that are near, or else all."""
    known = list(known)
    asked = did_you_mean(nearest(name, known))
    return f"Unknown {kind} {name!r}. {asked or 'Choose one of ' + ', '.join(known) + '.'}"


def metric(table: str) -> str:
    """What a table reports: `test_error`, `test_error_top5` or `train_hours`."""
    return str(_tables()[table].metric)


def across(table: str) -> str | None:
    """What stands side by side where the paper prints a table: its `data`, `layers`, `method` or
    `test`; None where it has a line a number, as ours have."""
    return _tables()[table].across or None


def test(table: str) -> str | None:
    """How a table's networks are tested, where that is not as in training: the name of the file
    that `eval.py save=true` writes into a record, as `ten_crop` or `single_320_320`."""
    return _tables()[table].test or None


def test_of(line: Line) -> str | None:
    """How the network of a line is tested, where that is not as in training."""
    return line.test or test(line.table)


def test_arguments(name: str) -> list[str]:
    """What a test is called on eval.py's command line."""
    protocol, *pixels = name.split("_") if name.startswith("single") else [name]
    sizes = zip(("crop", "short"), pixels, strict=False)
    return [f"protocol={protocol}", *(f"{key}={value}" for key, value in sizes)]


def test_words(name: str) -> str:
    """What a test is called in a table."""
    protocol, *pixels = name.split("_") if name.startswith("single") else [name]
    if protocol == "single":
        return f"one crop of {pixels[0] if pixels else 224}"
    if name not in TESTS:
        raise PublishedError(unknown("test", name, ["single", *TESTS]))
    return TESTS[name]


def tests() -> list[str]:
    """All that `test_of` says of any line."""
    of_lines = {number.test for paper in papers() for number in numbers(paper.name)}
    return sorted({*(table.test for table in _tables().values()), *of_lines} - {""})


def lines(table: str) -> list[Line]:
    """The lines of a table, in its order.

    Raises:
        PublishedError: there is no such table.
    """
    if table not in titles():
        raise PublishedError(unknown("table", table, titles()))
    return list(_lines(paper_of(table)).get(table, {}))


def value(line: Line, metric: str) -> float | None:
    """A published number of a line, or None where the paper gives none."""
    digits = text(line, metric)
    return None if digits is None else float(digits)


def text(line: Line, metric: str) -> str | None:
    """The same number in the digits that it is printed with."""
    return next((number.value for number in _of(line) if number.metric == metric), None)


def reported(line: Line) -> list[Number]:
    """What the paper reports of a line, by each statistic; empty where only top-5 is given."""
    return [
        Number(number.statistic, number.value, float(number.value), number.std, number.n_runs)
        for number in _of(line)
        if number.metric == metric(line.table)
    ]


def typical(numbers: Sequence[Number]) -> Number:
    """What is reported of a row's runs in general: their mean where there is one."""
    return next((number for number in numbers if number.statistic == "mean_std"), numbers[0])


def notes(line: Line) -> list[str]:
    """What is to be said of a line."""
    return list(dict.fromkeys(number.note for number in _of(line) if number.note))


def label(line: Line) -> str:
    """The name a table prints for a line."""
    return _of(line)[0].label


@cache
def _independent() -> list[Reproduction]:
    return read(PAPER / "reproductions.csv", Reproduction)


def reproductions(experiment: str, dataset: str) -> list[float]:
    """Test errors in percent that independent reproductions of a row report, where they have the
    paper's network and recipe and the error of the last epoch (or do not say which)."""
    return [
        known.value
        for known in _independent()
        if (known.experiment, known.dataset, known.protocol) == (experiment, dataset, "last")
    ]


def runs_of(table: str, experiment: str, dataset: str) -> int:
    """How many runs the paper made of a row: 1 where it does not say.

    Where the table publishes no number of the row, the row's own table is asked.
    """
    for source in (table, experiment.rpartition("/")[0]):
        line = Line(source, experiment, dataset)
        if source in titles() and line in lines(source):
            return max((number.runs or 1 for number in reported(line)), default=1)
    return 1


def _of(line: Line) -> list[Published]:
    return _lines(paper_of(line.table)).get(line.table, {}).get(line, [])


@cache
def _lines(paper: str) -> dict[str, dict[Line, list[Published]]]:
    """The published numbers of a paper, by table and line, in their order."""
    known: dict[str, dict[Line, list[Published]]] = {}
    for number in numbers(paper):
        line = Line(number.table, number.experiment, number.dataset, number.test)
        known.setdefault(number.table, {}).setdefault(line, []).append(number)
    return known
