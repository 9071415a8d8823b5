"""How far a run is, from the files that it leaves anyhow."""

import os
from pathlib import Path

import pytest

from records.progress import Progress, last_sign, progress_of
from records.record import Record

ROW = {"epoch": 1.0, "lr": 0.1, "train_loss": 2.0, "train_error": 60.0, "test_loss": 1.9}


@pytest.fixture
def record(tmp_path: Path) -> Record:
    made = Record(tmp_path)
    made.start({"experiment": "a/b/c"})
    return made


def test_nothing_is_known_of_a_run_that_has_left_nothing(tmp_path: Path) -> None:
    assert progress_of(tmp_path) is None and progress_of(tmp_path / "none") is None
    assert last_sign(tmp_path) == 0


def test_a_checkpoint_alone_tells_the_iteration(record: Record) -> None:
    (record.folder / "checkpoint-00000120-0123456789abcdef.pt").touch()
    assert progress_of(record.folder) == Progress(120, None, None)


def test_metrics_tell_pace_and_error_and_a_later_checkpoint_the_iteration(record: Record) -> None:
    record.append({"iteration": 200, "seconds": 100.0, "test_error": 43.5, **ROW})
    record.append({"iteration": 400, "seconds": 300.0, "test_error": 40.25, **ROW})
    assert progress_of(record.folder) == Progress(400, 0.75, 40.25)
    for iteration in (390, 450):
        (record.folder / f"checkpoint-{iteration:08}-0123456789abcdef.pt").touch()
    assert progress_of(record.folder) == Progress(450, 0.75, 40.25)


@pytest.mark.parametrize("length", range(1, 40))
def test_half_a_row_is_no_row(record: Record, length: int) -> None:
    """A run may be killed while it writes; whatever is read of that must not be a wrong number."""
    record.append({"iteration": 200, "seconds": 100.0, "test_error": 43.5, **ROW})
    whole = record.metrics.read_bytes()
    record.append({"iteration": 400, "seconds": 300.0, "test_error": 40.25, **ROW})
    os.truncate(record.metrics, len(whole) + length)
    progress = progress_of(record.folder)
    assert progress is None or progress == Progress(200, 0.5, 43.5)


def test_signs_of_life_are_checkpoints_and_metrics(record: Record) -> None:
    os.utime(record.metrics, (100, 100))
    assert last_sign(record.folder) == 100
    path = record.folder / "checkpoint-00000120-0123456789abcdef.pt"
    path.touch()
    os.utime(path, (250, 250))
    (record.folder / "log.txt").touch()
    assert last_sign(record.folder) == 250


@pytest.mark.parametrize("name", ["checkpoint-1.pt", "checkpoint-.pt", "checkpoint-x-0.pt",
                                  "checkpoint--1-0.pt", "checkpoint-²-0.pt"])  # fmt: skip
def test_a_file_named_like_a_checkpoint_is_none(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    assert progress_of(tmp_path) is None


@pytest.mark.parametrize("number", ["inf", "nan", "1e999", "-inf"])
def test_a_row_of_no_numbers_is_none(number: str, tmp_path: Path) -> None:
    for row in (f"{number},1", f"1,{number}"):
        (tmp_path / "metrics.csv").write_text(f"iteration,seconds\n{row}\n")
        assert progress_of(tmp_path) is None
