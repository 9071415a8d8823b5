"""What a run writes: numbers as exact as they are, and a summary last, which signs the rest."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from records import record as module
from records.names import CONFIG, METRICS, PARTS, SUMMARY
from records.record import CHECKSUM, Record, checksum, copy_record, is_finished, summary_of

ROW = {"iteration": 391, "epoch": 1.0, "lr": 0.1, "train_loss": 1 / 3, "train_error": 100 / 3,
       "test_loss": 2e-7, "test_error": 8.75, "seconds": 60.04}  # fmt: skip


@pytest.fixture
def record(tmp_path: Path) -> Record:
    made = Record(tmp_path / "made")
    made.folder.mkdir()
    made.start({"seed": 0})
    made.append(ROW)
    made.finish({"status": "finished", "test_error": {"last": 8.75}})
    return made


@pytest.mark.parametrize("images", [10_000, 26_032, 50_000, 1_000_000])
def test_every_error_of_a_million_images_is_told_apart(images: int, record: Record) -> None:
    wrong = (0, 1, images // 3, images - 1, images)
    for count in wrong:
        record.append({**ROW, "test_error": 100 * count / images})
    read = [round(row["test_error"] * images / 100) for row in record.rows()[1:]]
    assert read == list(wrong)


def test_what_is_read_is_what_was_measured(record: Record) -> None:
    (row,) = record.rows()
    assert row.keys() == ROW.keys(), "what was not measured is left out"
    for name, value in ROW.items():
        rounding = {"seconds": 0.05, "epoch": 5e-5}.get(name, 5e-7 if "loss" in name else 5e-5)
        assert row[name] == pytest.approx(value, abs=rounding), name


@pytest.mark.parametrize("name", [CONFIG, METRICS])
def test_the_summary_signs_the_other_files_and_itself(name: str, record: Record) -> None:
    summary = summary_of(record.folder)
    assert checksum(record.folder, summary) == summary[CHECKSUM]
    again = dict(reversed(summary.items()))
    assert checksum(record.folder, again) == summary[CHECKSUM], "whatever the order of its keys"
    for key in summary.keys() - {CHECKSUM}:
        assert checksum(record.folder, {**summary, key: "other"}) != summary[CHECKSUM], key
    path = record.folder / name
    path.write_bytes(path.read_bytes() + b"\n")
    assert checksum(record.folder, summary) != summary[CHECKSUM]


def test_losses_that_json_does_not_have_are_left_open(record: Record) -> None:
    losses = {"train_loss": float("inf"), "all": [float("nan"), 1.0], "in": {"x": float("-inf")}}
    record.finish({"status": "diverged", **losses})
    summary = json.loads((record.folder / SUMMARY).read_text(), parse_constant=pytest.fail)
    assert summary["train_loss"] is None and summary["all"] == [None, 1.0]
    assert summary["in"] == {"x": None}
    assert checksum(record.folder, summary) == summary[CHECKSUM]


def test_a_copy_that_is_interrupted_is_no_record(
    record: Record, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write: Callable[..., None] = module.write_atomically
    for last in range(len(PARTS) + 1):
        left = last

        def write_some(path: Path, content: bytes) -> None:
            nonlocal left
            if left == 0:
                raise OSError("no space left")
            left -= 1
            write(path, content)

        monkeypatch.setattr(module, "write_atomically", write_some)
        copy = tmp_path / f"copy{last}"
        if last < len(PARTS):
            with pytest.raises(OSError, match="no space left"):
                copy_record(record.folder, copy)
        else:
            copy_record(record.folder, copy)
        assert is_finished(copy) == (last == len(PARTS))
    assert {p.name: p.read_bytes() for p in copy.iterdir()} == {
        p.name: p.read_bytes() for p in record.folder.iterdir()
    }
