"""Checkpoints: damage is noticed, the one before is kept, code in them is not run."""

import os
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from records.files import ROOT
from training.runs import checkpoint
from training.runs.checkpoint import CheckpointError
from training.runs.run import run
from training.settings.settings import Settings
from training.trainer import Trainer

DECIDING = {"seed": 0, "recipe": {"lr": 0.1}}
GOLDEN = ROOT / "tests" / "golden" / "checkpoint1"


def state(value: float) -> dict[str, Any]:
    return {"weights": torch.full((50, 50), value), "seconds": 1.5}


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """The newest checkpoint and the one before."""
    for iteration in (10, 20, 30):
        checkpoint.save(tmp_path, iteration, state(float(iteration)), DECIDING)
    newest, previous = checkpoint.checkpoints(tmp_path)
    return newest, previous


def test_the_newest_and_the_one_before_are_kept(two: tuple[Path, Path], tmp_path: Path) -> None:
    assert [path.name[:19] for path in two] == ["checkpoint-00000030", "checkpoint-00000020"]
    loaded = checkpoint.load(tmp_path, DECIDING)
    assert loaded is not None and torch.equal(loaded["weights"], state(30.0)["weights"])
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in two}


def test_saving_an_iteration_again_keeps_the_one_before(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    for value in (1.0, 2.0, 3.0):
        checkpoint.save(tmp_path, 30, state(value), DECIDING)
        again, before = checkpoint.checkpoints(tmp_path)
        assert before == two[1]
        content = checkpoint.read(again)
        assert content is not None and content["state"]["weights"][0, 0] == value


def test_a_checkpoint_is_a_plain_file_of_torch(two: tuple[Path, Path]) -> None:
    assert torch.load(two[0], weights_only=True)["science"] == DECIDING


def test_the_mode_of_a_checkpoint_is_that_of_other_files(two: tuple[Path, Path]) -> None:
    other = two[0].with_name("other")
    other.touch()
    assert two[0].stat().st_mode == other.stat().st_mode


def test_every_damage_is_noticed(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newest, previous = two
    whole, draw, noticed = newest.read_bytes(), random.Random(0), 0  # noqa: S311
    damages = [flipped(whole, draw.randrange(8 * len(whole))) for _ in range(500)]
    damages += [whole[: draw.randrange(len(whole))] for _ in range(100)]
    for damage in damages:
        newest.write_bytes(damage)
        loaded = checkpoint.load(tmp_path, DECIDING)
        assert loaded is not None and torch.equal(loaded["weights"], state(20.0)["weights"])
        error = capsys.readouterr().err
        noticed += str(newest) in error and previous.name in error
        assert (tmp_path / f"damaged-{newest.name}").exists()
    with capsys.disabled():
        print(f"\n{noticed} of {len(damages)} damaged checkpoints noticed")
    assert noticed == 600


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_when_all_are_damaged_both_are_named(two: tuple[Path, Path], tmp_path: Path) -> None:
    for path in two:
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=f"{two[0].name} and {two[1].name} damaged"):
        checkpoint.load(tmp_path, DECIDING)


def test_another_configuration_is_refused_with_its_keys(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"recipe.lr was 0.1, is now 0.2; seed was 0"):
        checkpoint.load(tmp_path, {"seed": 1, "recipe": {"lr": 0.2}})
    assert len(checkpoint.checkpoints(tmp_path)) == 2


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    content = pickle.dumps(
        {"version": 1, "science": DECIDING, "state": Evil(tmp_path / "evil")}, protocol=2
    )
    name = f"checkpoint-00000001-{checkpoint.checksum(content)}.pt"
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(tmp_path, DECIDING)
    assert not (tmp_path / "evil").exists()


def test_a_checkpoint_of_format_1_goes_on(
    settings_of: Callable[..., Settings], tmp_path: Path
) -> None:
    """The first promised format resumes for good; it was stopped at iteration 25 of 40."""
    settings = old_run(settings_of, tmp_path)
    folder = tmp_path / "outputs" / "runs" / "smoke" / "old" / "digits" / "seed0"
    shutil.copytree(GOLDEN, folder)
    assert run(settings, "old", "old/digits/seed0")[0] == "finished"
    lines = (folder / "metrics.csv").read_text().splitlines()
    assert lines[:2] == (GOLDEN / "metrics.csv").read_text().splitlines()
    assert len({line.count(",") for line in lines}) == 1, "columns are those it began with"
    fresh = old_run(settings_of, tmp_path / "fresh")
    run(fresh, "old", "old/digits/seed0")
    anew = tmp_path / "fresh" / folder.relative_to(tmp_path) / "metrics.csv"
    expected = [float(x) for x in anew.read_text().splitlines()[-1].split(",")[3:5]]
    # Made on another machine: close, not equal.
    assert [float(x) for x in lines[-1].split(",")[3:5]] == pytest.approx(expected, rel=0.05)


def old_run(settings_of: Callable[..., Settings], folder: Path) -> Settings:
    """The run whose checkpoint is kept."""
    return settings_of(
        "experiment=huang2017_dense/table2/densenet_40_12",
        "preset=smoke",
        "model.depth=7",
        "model.growth=4",
        "recipe.length=40",
        "recipe.batch=64",
        "recipe.milestones=[20,30]",
        "recipe.unit=iteration",
        "device=cpu",
        "threads=1",
        f"output_dir={folder}/outputs",
    )


def test_a_gpu_that_fails_says_nothing_about_a_checkpoint(
    settings_of: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = old_run(settings_of, tmp_path)
    folder = tmp_path / "outputs" / "runs" / "smoke" / "old" / "digits" / "seed0"
    shutil.copytree(GOLDEN, folder)

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Trainer, "load", fail)
    with pytest.raises(torch.OutOfMemoryError):
        run(settings, "old", "old/digits/seed0")
    monkeypatch.undo()
    assert run(settings, "old", "old/digits/seed0")[0] == "finished"
