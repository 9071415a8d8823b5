"""The only writer of run records: config.yaml, metrics.csv and, last of all, summary.json."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from records.exits import UserError
from records.files import finite, no_pipe, write_atomically
from records.names import CONFIG, METRICS, PARTS, SUMMARY

VERSION = 1
CHECKSUM = "checksum"
# Losses to six decimals; errors exact for sets of up to a million images.
COLUMNS = {
    "iteration": "d",
    "epoch": ".4f",
    "lr": "g",
    "train_loss": ".6f",
    "train_error": ".4f",
    "val_loss": ".6f",
    "val_error": ".4f",
    "test_loss": ".6f",
    "test_error": ".4f",
    "gradient": ".4e",
    "seconds": ".1f",
}
Row = dict[str, float]


class RecordError(UserError):
    """A record is damaged or in the wrong folder."""


class Record:
    """The record of one run, written to its folder as the run goes on.

    The files stay readable even if the process dies inside a method.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.metrics = folder / METRICS

    def start(self, config: dict[str, Any]) -> None:
        """Write the resolved config and the header of the metrics."""
        write_atomically(self.folder / CONFIG, OmegaConf.to_yaml(OmegaConf.create(config)))
        write_atomically(self.metrics, ",".join(COLUMNS) + "\n")

    def rewind(self, size: int) -> None:
        """Truncate the metrics to the size, in bytes, they had at a checkpoint.

        Raises:
            ValueError: the metrics are shorter than that.
        """
        if self.size() < size:
            raise ValueError(f"{self.metrics.name} lacks what was measured before the checkpoint")
        os.truncate(self.metrics, size)

    def size(self) -> int:
        """Size of the metrics so far, in bytes."""
        return self.metrics.stat().st_size

    def append(self, row: Row) -> None:
        """Add the metrics of one evaluation; columns that do not apply stay empty."""
        cells = (format(row[k], COLUMNS[k]) if k in row else "" for k in self.columns())
        with self.metrics.open("a") as file:
            file.write(",".join(cells) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def touch(self) -> None:
        """Update the time stamp of the metrics as a sign of life."""
        os.utime(self.metrics)

    def columns(self) -> list[str]:
        """Column names of this run's metrics; earlier versions wrote fewer."""
        with no_pipe(self.metrics).open() as file:
            return file.readline().rstrip("\n").split(",")

    def rows(self) -> list[Row]:
        """The metrics so far, as numbers; empty cells are left out."""
        lines = no_pipe(self.metrics).read_text().splitlines()
        names = lines[0].split(",")
        return [
            {name: float(cell) for name, cell in zip(names, line.split(","), strict=True) if cell}
            for line in lines[1:]
        ]

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the summary, with a checksum of the whole record; this marks the run as ended."""
        content = finite({"version": VERSION, **summary})
        content[CHECKSUM] = checksum(self.folder, content)
        text = json.dumps(content, indent=2, allow_nan=False)
        write_atomically(self.folder / SUMMARY, text + "\n")


def checksum(folder: Path, summary: Mapping[str, Any]) -> str:
    """SHA-256 of a summary, without its checksum, and the other files of the record."""
    signed = {key: value for key, value in summary.items() if key != CHECKSUM}
    digest = hashlib.sha256(json.dumps(signed, sort_keys=True).encode())
    for name in (CONFIG, METRICS):
        path = folder / name
        digest.update(no_pipe(path).read_bytes() if path.exists() else b"")
    return digest.hexdigest()


def is_finished(folder: Path) -> bool:
    """Whether a folder holds the record of a run that has ended."""
    return (folder / SUMMARY).exists()


def copy_record(folder: Path, destination: Path) -> None:
    """Copy a finished record, its summary last."""
    destination.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        write_atomically(destination / name, no_pipe(folder / name).read_bytes())


def summary_of(folder: Path) -> dict[str, Any]:
    """Read the summary of a record.

    Raises:
        RecordError: the summary is missing or damaged.
    """
    path = folder / SUMMARY
    try:
        summary = dict(json.loads(no_pipe(path).read_text(encoding="utf-8")))
        _ = summary["status"]
        return summary
    except FileNotFoundError:
        raise RecordError(f"{folder} holds no record of a run that has ended.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise RecordError(f"{path} is damaged ({reason}); restore or delete its folder.") from None


def status_of(folder: Path) -> str:
    """Return how a run ended: `finished` or `diverged`.

    Raises:
        RecordError: its summary is missing or damaged.
    """
    return str(summary_of(folder)["status"])
