"""Run records, as they lie under results/runs or outputs/runs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.published import fingerprints
from experiments.rows import facts

VERSION = 1


class RecordError(Exception):
    """A record is damaged, or lies where it does not belong."""


@dataclass(frozen=True)
class RunRecord:
    """The record of one run that has ended.

    Attributes:
        folder: where it lies.
        summary: the content of summary.json.
    """

    folder: Path
    summary: dict[str, Any]

    @property
    def run(self) -> str:
        return str(self.summary["run"])

    @property
    def experiment(self) -> str:
        return str(self.summary["experiment"])

    @property
    def dataset(self) -> str:
        return str(self.summary["dataset"])

    @property
    def seed(self) -> int:
        return int(self.summary["seed"])

    @property
    def diverged(self) -> bool:
        return bool(self.summary["status"] == "diverged")

    @property
    def unchanged(self) -> bool:
        """Whether nothing was overridden beyond row, data set and seed."""
        return self.run == f"{self.experiment}/{self.dataset}/seed{self.seed}"

    @property
    def counts(self) -> bool:
        """Whether its numbers may enter a paper's table.

        The full recipe must have run, unchanged by overrides or edits, on the right data (where
        the fingerprint is known: nobody has made SVHN's yet).
        """
        known = fingerprints().get(self.dataset, self.summary["data"])
        row = facts(self.experiment, self.dataset)
        right = row is not None and self.summary["recipe"] == row.hash
        full = self.summary["preset"] == "paper" and self.unchanged
        return full and right and bool(self.summary["data"] == known)

    def error(self, which: str) -> float | None:
        """Test error in percent: `last`, `best`, `at_best_val` or `exported`."""
        value = self.summary["test_error"][which]
        return None if value is None else float(value)

    def metrics(self) -> pd.DataFrame:
        """The metrics, one row an evaluation.

        Raises:
            RecordError: metrics.csv is missing or damaged.
        """
        path = self.folder / "metrics.csv"
        try:
            return pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise RecordError(f"{path} is missing or damaged ({error}).") from None


def load(folder: Path) -> RunRecord:
    """The record in a folder.

    Raises:
        RecordError: it has not ended, or its summary is damaged.
    """
    path = folder / "summary.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        record = RunRecord(folder, summary)
        complete = summary["version"] == VERSION and record.error("last") is not None
        if not (complete or record.diverged) or not isinstance(record.counts, bool):
            raise ValueError("incomplete")
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise RecordError(
            f"{path} is missing, damaged or of another version ({reason}).\n"
            "Restore the folder from git, or delete it and train the run again."
        ) from None
    return record


def load_all(runs: Path) -> list[RunRecord]:
    """Every record under a folder, in the order of their names.

    Raises:
        RecordError: one is damaged, or lies in the folder of another run.
    """
    records = [load(path.parent) for path in sorted(runs.rglob("summary.json"))]
    for record in records:
        place = record.folder.relative_to(runs).as_posix()
        if place != record.run:
            raise RecordError(
                f"{record.folder} holds the record of {record.run}; move it to {runs / record.run}."
            )
    return sorted(records, key=lambda record: (record.experiment, record.dataset, record.seed))
