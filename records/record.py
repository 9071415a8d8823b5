"""The only writer of the run record: config.yaml, metrics.csv and, last of all, summary.json."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from records.files import finite, no_pipe, write_atomically
from records.names import CONFIG, METRICS, PARTS, SUMMARY

VERSION = 1
CHECKSUM = "checksum"
# Losses to six decimals, errors to the exact fraction of a set up to a million images.
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


class RecordError(Exception):
    """A record is damaged, or lies where it does not belong."""


class Record:
    """The record of one run, growing in its folder.

    Every method leaves the files readable whenever the process dies.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.metrics = folder / METRICS

    def start(self, config: dict[str, Any]) -> None:
        """Write the resolved configuration and the head of the metrics."""
        write_atomically(self.folder / CONFIG, OmegaConf.to_yaml(OmegaConf.create(config)))
        write_atomically(self.metrics, ",".join(COLUMNS) + "\n")

    def rewind(self, size: int) -> None:
        """Cut the metrics to the size they had when a checkpoint was written.

        Raises:
            ValueError: they are shorter.
        """
        if self.size() < size:
            raise ValueError(f"{self.metrics.name} lacks what was measured before the checkpoint")
        os.truncate(self.metrics, size)

    def size(self) -> int:
        """Bytes of metrics so far."""
        return self.metrics.stat().st_size

    def append(self, row: Row) -> None:
        """Add the metrics of one evaluation; columns that do not apply stay empty."""
        cells = (format(row[k], COLUMNS[k]) if k in row else "" for k in self.columns())
        with self.metrics.open("a") as file:
            file.write(",".join(cells) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def touch(self) -> None:
        """Leave a sign of life where there is nothing to record."""
        os.utime(self.metrics)

    def columns(self) -> list[str]:
        """What the metrics of this run consist of; an earlier version measured less."""
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
        """Write the summary, with a checksum over the whole record: from here on it has ended."""
        content = finite({"version": VERSION, **summary})
        content[CHECKSUM] = checksum(self.folder, content)
        text = json.dumps(content, indent=2, allow_nan=False)
        write_atomically(self.folder / SUMMARY, text + "\n")


def checksum(folder: Path, summary: Mapping[str, Any]) -> str:
    """SHA-256 over a summary, but for its checksum, and the other files of the record."""
    signed = {key: value for key, value in summary.items() if key != CHECKSUM}
    digest = hashlib.sha256(json.dumps(signed, sort_keys=True).encode())
    for name in (CONFIG, METRICS):
        path = folder / name
        digest.update(no_pipe(path).read_bytes() if path.exists() else b"")
    return digest.hexdigest()


def is_finished(folder: Path) -> bool:
    """Whether a folder holds the record of a run that ended."""
    return (folder / SUMMARY).exists()


def copy_record(folder: Path, destination: Path) -> None:
    """Copy a finished record; its summary arrives last."""
    destination.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        write_atomically(destination / name, no_pipe(folder / name).read_bytes())


def summary_of(folder: Path) -> dict[str, Any]:
    """The summary of a record.

    Raises:
        RecordError: it is damaged.
    """
    path = folder / SUMMARY
    try:
        summary = dict(json.loads(no_pipe(path).read_text(encoding="utf-8")))
        _ = summary["status"]
        return summary
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise RecordError(f"{path} is damaged ({reason}); restore or delete its folder.") from None


def status_of(folder: Path) -> str:
    """How the run ended whose record lies in a folder: `finished` or `diverged`.

    Raises:
        RecordError: its summary is damaged.
    """
    return str(summary_of(folder)["status"])
