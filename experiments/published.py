"""Published numbers, read from results/paper: the papers', their data sets', reproductions'."""

from functools import cache
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
PAPER = ROOT / "results" / "paper"


class PublishedError(Exception):
    """A table or a row is not among the published ones."""


@cache
def numbers(paper: str) -> pd.DataFrame:
    """All published numbers of a paper; `value`, `std` and `n_runs` are numbers or missing.

    Raises:
        PublishedError: there is no such paper.
    """
    path = PAPER / f"{paper}.csv"
    if not path.exists():
        known = sorted({table.split("/")[0] for table in titles()})
        raise PublishedError(f"Unknown paper {paper}; choose one of {', '.join(known)}.")
    frame = pd.read_csv(path)
    frame["note"] = frame["note"].fillna("")
    return frame


@cache
def titles() -> dict[str, str]:
    """Title of every table and figure, by its name `<paper>/<table>`."""
    frame = pd.read_csv(PAPER / "tables.csv")
    return dict(zip(frame["table"], frame["title"], strict=True))


@cache
def fingerprints() -> dict[str, str]:
    """Fingerprint of the data every full recipe must have seen, by data set."""
    frame = pd.read_csv(PAPER / "datasets.csv", dtype=str)
    return dict(zip(frame["dataset"], frame["fingerprint"], strict=True))


@cache
def network_sizes() -> dict[str, tuple[int, int]]:
    """Parameters and multiply-adds of every row's network, counted from our code."""
    frame = pd.read_csv(ROOT / "results" / "architecture.csv")
    pairs = zip(frame["params"], frame["macs"], strict=True)
    return dict(zip(frame["experiment"], pairs, strict=True))


def rows(table: str) -> list[str]:
    """The rows of a table, in its order: `<paper>/<table>/<row>`.

    Raises:
        PublishedError: there is no such table.
    """
    frame = numbers(table.split("/")[0])
    found = [x for x in frame["experiment"].unique() if x.rpartition("/")[0] == table]
    if not found:
        raise PublishedError(f"Unknown table {table}; choose one of {', '.join(titles())}.")
    return found


def value(experiment: str, metric: str, statistic: str | None = None) -> float | None:
    """A published number of a row, or None where the paper gives none."""
    frame = _row(experiment)
    frame = frame[frame["metric"] == metric]
    if statistic:
        frame = frame[frame["statistic"] == statistic]
    return None if frame.empty else float(frame["value"].iloc[0])


def errors(experiment: str) -> pd.DataFrame:
    """The published test errors of a row, one line a statistic."""
    frame = _row(experiment)
    return frame[frame["metric"] == "test_error"].reset_index(drop=True)


def label(experiment: str) -> str:
    """The name a table prints for a row."""
    return str(_row(experiment)["label"].iloc[0])


def dataset(experiment: str) -> str:
    """The data set of a row."""
    return str(_row(experiment)["dataset"].iloc[0])


def runs_of(experiment: str) -> int:
    """How many runs the paper made of a row: 1 where it does not say."""
    counts = errors(experiment)["n_runs"].dropna()
    return int(counts.max()) if len(counts) else 1


def reproduction_std(experiment: str) -> float | None:
    """Standard deviation over independent reproductions of a row, from three on."""
    frame = pd.read_csv(PAPER / "reproductions.csv")
    values = frame.loc[frame["experiment"] == experiment, "value"]
    return float(values.std(ddof=1)) if len(values) >= 3 else None


def _row(experiment: str) -> pd.DataFrame:
    frame = numbers(experiment.split("/")[0])
    return frame[frame["experiment"] == experiment]
