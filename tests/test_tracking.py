"""Weights & Biases: an offline run read back with its own command line; no harm where it fails."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

EXPERIMENT = "he2015_residual/table6/resnet20"
SMOKE = [f"experiment={EXPERIMENT}", "preset=smoke", "device=cpu", "threads=1", "model.depth=8",
         "recipe.length=30", "recipe.milestones=[10]", "logger=wandb"]  # fmt: skip


def inspect(folder: Path, *options: str) -> list[dict[str, Any]]:
    """What `wandb leet inspect` prints of an offline run, one object a line or one in all."""
    wandb = Path(sys.executable).parent / "wandb"
    command = [str(wandb), "leet", "inspect", "--json", *options, str(folder)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(text)] if options else [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment in which nobody is logged in to W&B."""
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    return {"HOME": str(tmp_path / "home"), "NETRC": str(tmp_path / "netrc")}


def test_an_offline_run_mirrors_the_record(
    command: Callable, tmp_path: Path, home: dict[str, str]
) -> None:
    ended = command("train.py", *SMOKE, **home)
    assert ended.code == 0 and not ended.err, ended.err
    (summary_file,) = tmp_path.rglob("summary.json")
    record = summary_file.parent
    (offline,) = (record / "wandb").glob("offline-run-*")

    history = [line["history"]["item"] for line in inspect(offline) if line["type"] == "history"]
    with (record / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [item["_step"] for item in history] == [int(row["iteration"]) for row in rows]
    for item, row in zip(history, rows, strict=True):
        for name in ("train_loss", "train_error", "test_loss", "test_error"):
            mirrored = item[name.replace("_", "/")]
            assert mirrored == pytest.approx(float(row[name]), abs=1e-4)

    (run,) = inspect(offline, "--summary")
    assert run["project"] == "residual-to-dense" and run["state"] == "finished"
    assert run["tags"] == ["he2015_residual", "table6"]
    assert run["config"]["recipe"]["milestones"] == [10]
    recorded = json.loads(summary_file.read_text())
    assert run["summary"]["test_error"] == recorded["test_error"]
    assert run["name"] == recorded["run"]
    (started,) = (line["run"] for line in inspect(offline) if line["type"] == "run")
    assert started["run_group"] == EXPERIMENT


def break_wandb(place: str) -> None:
    """Have W&B fail when it is imported, started, or given a row."""
    if place == "import":
        sys.modules["wandb"] = None  # type: ignore[assignment]
        return
    import wandb

    def fail(*_: object, **__: object) -> None:
        raise wandb.errors.CommError("no server answers")

    if place == "init":
        wandb.init = fail
    else:
        wandb.Run.log = fail  # type: ignore[method-assign]


@pytest.mark.parametrize("place", ["import", "init", "log"])
def test_a_run_goes_on_without_wandb(
    place: str, command: Callable, tmp_path: Path, home: dict[str, str]
) -> None:
    ended = command("train.py", *SMOKE, before=partial(break_wandb, place), **home)
    assert ended.code == 0
    assert ended.err.count("The run goes on without it.") == 1, ended.err
    (metrics,) = tmp_path.rglob("metrics.csv")
    assert len(metrics.read_text().splitlines()) == 3  # the head, 24 and 30 iterations
