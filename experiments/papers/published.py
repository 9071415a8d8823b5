"""Published numbers, read from results/paper: the papers', their data sets', reproductions'."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

import pandas as pd

from experiments.papers.sums import committed
from records.command import CommandError
from records.files import ROOT

PAPER = ROOT / "results" / "paper"
ERROR, TOP5, HOURS = "test_error", "test_error_top5", "train_hours"
TEST_IMAGES, MARGIN = 10_000, 0.5  # of a data set that no paper has
TESTS = {
    "ten_crop": "ten crops", "multi_scale": "five scales", "dense": "three scales",
    "crops_144": "144 crops",
}  # fmt: skip
METRICS = (ERROR, TOP5, HOURS, "layers", "params_millions")
STATISTICS = (
    "last", "best", "median5", "mean_std", "best_val", "quoted", "reading", "fail",
)  # fmt: skip


class PublishedError(CommandError):
    """A table or a row is not among the published ones, or a file of them has a mistake."""


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
def numbers(paper: str) -> pd.DataFrame:
    """All published numbers of a paper; `value`, `std` and `n_runs` are numbers or missing, `text`
    is a value's own digits, and `test` is empty where a line is tested as its table is.

    Raises:
        PublishedError: there is no such paper, or a cell of its file is impossible.
    """
    path = PAPER / f"{paper}.csv"
    if not path.exists():
        raise PublishedError(
            f"No published numbers for {paper}; choose from {', '.join(titles())}."
        )
    frame = pd.read_csv(committed(path), dtype=dict.fromkeys(("value", "note", "test"), str))
    frame["text"] = frame["value"]
    pairs = zip(frame["metric"], frame["statistic"].fillna(""), strict=True)
    for number, (metric, statistic) in enumerate(pairs, 2):
        if metric not in METRICS or statistic not in ("", *STATISTICS):
            raise PublishedError(
                f"{path}, line {number}: metric {metric!r} or statistic {statistic!r} is "
                f"unknown; metrics: {', '.join(METRICS)}; statistics: {', '.join(STATISTICS)}."
            )
    try:
        frame = frame.astype({"value": float, "std": float, "n_runs": float})
    except ValueError as error:
        raise PublishedError(f"{path}: {error}.") from None
    frame["note"] = frame["note"].fillna("")
    frame["test"] = frame["test"].fillna("") if "test" in frame else ""
    return frame


@dataclass(frozen=True)
class Paper:
    """A paper: its id, how it is cited, its title and its address."""

    name: str
    cited: str
    title: str
    url: str


@cache
def papers() -> list[Paper]:
    """The papers, in their order."""
    frame = pd.read_csv(committed(PAPER / "papers.csv"))
    return [Paper(*line) for line in frame.itertuples(index=False, name=None)]


@cache
def _titles() -> pd.DataFrame:
    frame = pd.read_csv(committed(PAPER / "tables.csv")).set_index("table")
    return frame.fillna({"test": "", "across": ""})


def titles() -> dict[str, str]:
    """Title of every table and figure with published numbers, by its name `<paper>/<table>`."""
    return dict(_titles()["title"])


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """What to say of a name that is not known: those that are near, or else all."""
    known = list(known)
    near = [full for full in known if name in full.split("/")]
    near = near or get_close_matches(name, known, n=3, cutoff=0.75)
    said = f"Did you mean {' or '.join(near)}?" if near else f"Choose one of {', '.join(known)}."
    return f"Unknown {kind} {name!r}. {said}"


def metric(table: str) -> str:
    """What a table reports: `test_error`, `test_error_top5` or `train_hours`."""
    return str(_titles().loc[table, "metric"])


def across(table: str) -> str | None:
    """What stands side by side where the paper prints a table: its `data`, `layers`, `method` or
    `test`; None where it has a line a number, as ours have."""
    return str(_titles().loc[table, "across"]) or None


def test(table: str) -> str | None:
    """How a table's networks are tested, where that is not as in training: the name of the file
    that `eval.py save=true` writes into a record, as `ten_crop` or `single_320_320`."""
    return str(_titles().loc[table, "test"]) or None


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
    return f"one crop of {pixels[0] if pixels else 224}" if protocol == "single" else TESTS[name]


def tests() -> list[str]:
    """All that `test_of` says of any line."""
    of_lines = {name for paper in papers() for name in numbers(paper.name)["test"]}
    return sorted({*_titles()["test"], *of_lines} - {""})


@cache
def fingerprints() -> dict[str, str]:
    """Fingerprint of the data every full recipe must have seen, by data set, where it is known."""
    known = _datasets()["fingerprint"].dropna()
    return {str(name): str(value) for name, value in known.items()}


def test_images(dataset: str) -> int:
    """Images of a test set."""
    frame = _datasets()
    return int(str(frame.loc[dataset, "test_images"])) if dataset in frame.index else TEST_IMAGES


def short(dataset: str) -> str:
    """A data set as papers write it: C10+ with augmentation, C10 without."""
    frame = _datasets()
    return str(frame.loc[dataset, "short"]) if dataset in frame.index else dataset


def shorts() -> list[str]:
    """Every data set as papers write it, in the order of their tables."""
    return list(_datasets()["short"])


def margin(dataset: str) -> float:
    """Percent points by which a reproduced test error may differ from the published one."""
    frame = _datasets()
    return float(str(frame.loc[dataset, "margin"])) if dataset in frame.index else MARGIN


@cache
def _datasets() -> pd.DataFrame:
    return pd.read_csv(committed(PAPER / "datasets.csv"), dtype=str).set_index("dataset")


def lines(table: str) -> list[Line]:
    """The lines of a table, in its order.

    Raises:
        PublishedError: there is no such table.
    """
    if table not in titles():
        raise PublishedError(unknown("table", table, titles()))
    frame = numbers(table.split("/")[0])
    known = frame.loc[frame["table"] == table, ["experiment", "dataset", "test"]].drop_duplicates()
    return [Line(table, *line) for line in known.itertuples(index=False, name=None)]


def value(line: Line, metric: str) -> float | None:
    """A published number of a line, or None where the paper gives none."""
    frame = _of(line)
    frame = frame[frame["metric"] == metric]
    return None if frame.empty else float(frame["value"].iloc[0])


def text(line: Line, metric: str) -> str | None:
    """The same number in the digits that it is printed with."""
    frame = _of(line)
    frame = frame[frame["metric"] == metric]
    return None if frame.empty else str(frame["text"].iloc[0])


def reported(line: Line) -> list[Number]:
    """What the paper reports of a line, by each statistic; empty where only top-5 is given."""
    frame = _of(line)
    frame = frame[frame["metric"] == metric(line.table)]
    return [
        Number(
            str(statistic),
            str(text),
            float(value),
            None if pd.isna(std) else float(std),
            None if pd.isna(runs) else int(runs),
        )
        for statistic, text, value, std, runs in frame[
            ["statistic", "text", "value", "std", "n_runs"]
        ].to_numpy()
    ]


def typical(numbers: Sequence[Number]) -> Number:
    """What is reported of a row's runs in general: their mean where there is one."""
    return next((number for number in numbers if number.statistic == "mean_std"), numbers[0])


def notes(line: Line) -> list[str]:
    """What is to be said of a line."""
    return [str(note) for note in _of(line)["note"].unique() if note]


def label(line: Line) -> str:
    """The name a table prints for a line."""
    return str(_of(line)["label"].iloc[0])


@cache
def _independent() -> pd.DataFrame:
    return pd.read_csv(committed(PAPER / "reproductions.csv"))


def reproductions(experiment: str, dataset: str) -> list[float]:
    """Test errors in percent that independent reproductions of a row report, where they have the
    paper's network and recipe and the error of the last epoch (or do not say which)."""
    frame = _independent()
    same = (frame["experiment"] == experiment) & (frame["dataset"] == dataset)
    return [float(value) for value in frame[same & (frame["protocol"] == "last")]["value"]]


def runs_of(table: str, experiment: str, dataset: str) -> int:
    """How many runs the paper made of a row: 1 where it does not say.

    Where the table publishes no number of the row, the row's own table is asked.
    """
    for source in (table, experiment.rpartition("/")[0]):
        line = Line(source, experiment, dataset)
        if source in titles() and line in lines(source):
            return max((number.runs or 1 for number in reported(line)), default=1)
    return 1


def _of(line: Line) -> pd.DataFrame:
    frame = numbers(line.table.split("/")[0])
    same = (frame["experiment"] == line.experiment) & (frame["dataset"] == line.dataset)
    return frame[same & (frame["table"] == line.table) & (frame["test"] == line.test)]
