"""The record of a finished run, and records by row."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_integer_dtype, is_numeric_dtype

from experiments.papers import datasets
from experiments.papers.published import tests
from experiments.papers.rows import facts
from experiments.verdicts.seconds import active
from records.files import no_pipe
from records.names import KEPT, run_name
from records.names import METRICS as METRICS_FILE
from records.objections import objections
from records.record import RecordError

ANALYSES = {
    "responses": ["layer", "std"], "reuse": ["block", "source", "target", "weight"],
}  # fmt: skip
METRICS = ("iteration", "epoch", "lr", "train_loss", "train_error", "test_loss", "test_error")


def extras() -> list[str]:
    """Files that eval.py or people add to a record: analyses of the weights, tests, a note."""
    return [*(f"{name}.csv" for name in (*ANALYSES, *tests())), "NOTE.md"]


@dataclass(frozen=True)
class RunRecord:
    """The record of a finished run.

    Attributes:
        folder: the folder that holds it.
        summary: the content of summary.json.
    """

    folder: Path
    summary: dict[str, Any]

    @property
    def run(self) -> str:
        return str(self.summary["run"])

    @property
    def preset(self) -> str:
        return str(self.summary["preset"])

    @property
    def experiment(self) -> str:
        return str(self.summary["experiment"])

    @property
    def dataset(self) -> str:
        return str(self.summary["dataset"])

    @property
    def row(self) -> tuple[str, str]:
        """Experiment and data set."""
        return self.experiment, self.dataset

    @property
    def seed(self) -> int:
        return int(self.summary["seed"])

    @property
    def seconds(self) -> float | None:
        """Seconds of training, without evaluations and suspensions, or None if not measured. On
        several machines in turn, no pace is usual, and suspensions count."""
        whole, metrics = self.summary.get("seconds"), self.metrics()
        moved = ", then " in str(self.summary.get("device"))
        if whole is None or moved or "seconds" not in metrics:
            return whole
        return active(whole, metrics)

    @property
    def diverged(self) -> bool:
        return bool(self.summary["status"] == "diverged")

    @property
    def unchanged(self) -> bool:
        """Whether it has no overrides beyond row, data set and seed."""
        return self.run == run_name(self.experiment, (), self.dataset, self.seed)

    @property
    def counts(self) -> bool:
        """Whether its numbers may enter a table of its preset."""
        return not self.objections

    @property
    def objections(self) -> list[str]:
        """Why its numbers may enter no table of its preset; empty if they may."""
        row = facts(self.experiment, self.dataset, self.preset) if self.preset in KEPT else None
        return objections(self.summary, row, datasets.of(self.dataset).fingerprint)

    def error(self, which: str) -> float | None:
        """Test error in percent: `last`, `best`, `at_best_val` or `exported`."""
        value = self.summary["test_error"][which]
        return None if value is None else float(value)

    def analysis(self, name: str) -> pd.DataFrame | None:
        """The result of `eval.py analysis=<name>`, or None if it has not been run.

        Raises:
            RecordError: the file is damaged.
        """
        path = self.folder / f"{name}.csv"
        if not path.exists():
            return None
        try:
            frame = pd.read_csv(no_pipe(path))
            frame = frame[ANALYSES[name]]
            if not all(map(is_numeric_dtype, frame.dtypes)) or frame.empty:
                raise ValueError("no numbers")
            return frame
        except (OSError, ValueError, KeyError) as error:
            raise RecordError(f"{path} is damaged ({error}); rerun eval.py on it.") from None

    def metrics(self) -> pd.DataFrame:
        """The metrics, one row per evaluation.

        Raises:
            RecordError: metrics.csv is missing or damaged.
        """
        path = self.folder / METRICS_FILE
        try:
            frame = pd.read_csv(no_pipe(path))
            asked = [*METRICS, *{"seconds"}.intersection(frame)]
            whole = is_integer_dtype(frame["iteration"])
            if frame.empty or not whole or not frame[asked].apply(is_numeric_dtype).all():
                raise ValueError("no numbers")
            if fault := _odd(frame):
                raise ValueError(fault)
            return frame
        except (OSError, ValueError, KeyError) as error:
            raise RecordError(f"{path} is missing or damaged ({error}).") from None


def _odd(metrics: pd.DataFrame) -> str | None:
    """Describe a value that no run can measure, or return None; any loss is possible."""
    places = metrics[["iteration", "epoch"]].to_numpy(dtype=float)
    if not np.isfinite(places).all() or (np.diff(places[:, 0]) <= 0).any() or places.min() < 0:
        return "iterations or epochs that do not increase"
    errors = metrics[["train_error", "test_error"]].to_numpy(dtype=float)
    if ((errors < 0) | (errors > 100)).any():
        return "an error that is not a percentage"
    return None


def counting(records: Iterable[RunRecord], preset: str) -> list[RunRecord]:
    """Records whose numbers may enter a table of a kept preset."""
    return [record for record in records if record.preset == preset and record.counts]


def by_row(records: Iterable[RunRecord]) -> dict[tuple[str, str], list[RunRecord]]:
    """Group records by experiment and data set, in their order."""
    rows: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        rows.setdefault(record.row, []).append(record)
    return rows
