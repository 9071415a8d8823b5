"""Two processes (gloo) on a folder tree: killed at any moment, the run ends with the same bits."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import save_tree
from tests.training.runs.test_replicas import result, torchrun

OVERRIDES = [
    "experiment=he2015_residual/table2/resnet18", "preset=imagenette", "data.name=made",
    "data.source=made", "data.classes=2", "recipe.batch=4", "recipe.length=4",
    "recipe.milestones=[3]", "recipe.statistics_batches=6", "device=cpu", "threads=1",
    "workers=1", "checkpoint_seconds=0",
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)

    def picture(label: int, number: int) -> Image.Image:
        pixels = random.integers(100 * label, 100 * label + 100, (70, 80, 3), np.uint8)
        return Image.fromarray(pixels)

    save_tree(root / "made", picture, 8)
    return root


def trainers(launcher: int) -> list[int]:
    """The processes that a launcher has started."""
    found = subprocess.run(["pgrep", "-P", str(launcher)], capture_output=True, text=True)  # noqa: PLW1510
    return [int(pid) for pid in found.stdout.split()]


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_of_two_changes_nothing(victim: int, data: Path, tmp_path: Path) -> None:
    there = {"DATA_DIR": str(data)}
    whole = torchrun(tmp_path / "whole", *OVERRIDES, **there)
    _, errors = whole.communicate(timeout=180)
    assert whole.returncode == 0, errors
    process = torchrun(tmp_path / "killed", *OVERRIDES, **there)
    deadline = time.monotonic() + 180
    while not list((tmp_path / "killed").rglob("checkpoint-0000000[5-9]*")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    os.kill(trainers(process.pid)[victim], signal.SIGKILL)
    process.communicate(timeout=180)
    assert process.returncode != 0 and not list((tmp_path / "killed").rglob("summary.json"))
    again = torchrun(tmp_path / "killed", *OVERRIDES, **there)
    _, errors = again.communicate(timeout=180)
    assert again.returncode == 0, errors
    (rows, weights, _), (other_rows, other_weights, _) = map(result, tmp_path.iterdir())
    assert rows == other_rows and weights.keys() == other_weights.keys()
    assert all(torch.equal(tensor, other_weights[name]) for name, tensor in weights.items())


@pytest.mark.slow
@pytest.mark.parametrize("length", [1, 2])
def test_what_either_process_leaves_out_is_counted(length: int, data: Path, tmp_path: Path) -> None:
    """Two damaged images, in an epoch of which one process sees no more than its share."""
    shutil.copytree(data, tmp_path / "data")
    for number in (2, 5):
        (tmp_path / f"data/made/train/n1/{number}.JPEG").write_bytes(b"damaged")
    overrides = ["damaged=skip", f"recipe.length={length}", "recipe.milestones=[]"]
    process = torchrun(tmp_path / "out", *OVERRIDES, *overrides, DATA_DIR=str(tmp_path / "data"))
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    (summary,) = (tmp_path / "out").rglob("summary.json")
    assert json.loads(summary.read_text())["damaged"] == 2
