"""train.py and eval.py as people use them: one run, a multirun, weights evaluated again."""

import csv
import itertools
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file

from data.arrays.imageset import ImageSet, write
from models.resnet import ResNet
from records.exits import PREEMPTED
from records.lock import locked
from records.names import run_name
from tests.data.arrays.test_sets import random_set
from tests.sealed import seal
from training.process.progress import ProgressLine, Terminal
from training.settings.config import named
from training.settings.settings import Settings

ROW = "he2015_residual/table6/resnet20"
SMOKE = ["preset=smoke", "device=cpu", "threads=1", "model.depth=8", "recipe.length=30",
         "recipe.milestones=[10]"]  # fmt: skip
SUFFIX = "+model.depth=8+recipe.length=30+recipe.milestones=-10"


def record(tmp_path: Path) -> Path:
    return tmp_path / "outputs" / "runs" / "smoke" / f"{ROW}{SUFFIX}" / "digits" / "seed0"


def test_a_run_leaves_its_record(command: Callable, tmp_path: Path, digits: ImageSet) -> None:
    ended = command("train.py", f"experiment={ROW}", *SMOKE, "data.pad=1", "data.flip=true")
    assert ended.code == 0 and not ended.err
    (folder,) = (path.parent for path in tmp_path.rglob("summary.json"))
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml", "metrics.csv", "summary.json", "weights.safetensors",
    }  # fmt: skip

    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "iteration", "epoch", "lr", "train_loss", "train_error", "val_loss", "val_error",
        "test_loss", "test_error", "gradient", "seconds",
    ]  # fmt: skip
    # 1,500 images in batches of 64: an epoch ends within the 24th; the last is evaluated too.
    assert [row["iteration"] for row in rows] == ["24", "30"]
    assert [float(row["lr"]) for row in rows] == pytest.approx([0.01, 0.01])
    assert float(rows[1]["epoch"]) == pytest.approx(30 * 64 / 1500)

    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "finished" and summary["experiment"] == ROW
    assert (summary["iterations"], summary["preset"], summary["seed"]) == (30, "smoke", 0)
    assert summary["test_error"]["last"] == float(rows[1]["test_error"])
    assert summary["test_error"]["best"] == min(float(row["test_error"]) for row in rows)
    assert summary["params"] == sum(p.numel() for p in ResNet(8).parameters())
    assert summary["data"] == digits.fingerprint
    assert re.fullmatch("[0-9a-f]{16}", summary["recipe"])
    assert len(summary["code"]) == 1

    config = OmegaConf.load(folder / "config.yaml")
    assert config.recipe.milestones == [10] and config.data.pad == 1
    assert str(tmp_path) not in (folder / "config.yaml").read_text()


def set_the_clock_back() -> None:
    """Have every look at the clock find it an hour earlier than the last one."""
    original, looks = time.time, itertools.count()
    time.time = lambda: original() - 3600 * next(looks)


def test_neither_the_clock_nor_the_locale_shows_in_a_record(
    command: Callable, tmp_path: Path
) -> None:
    odd = {"LC_ALL": "C", "LANG": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati", "PYTHONUTF8": "0"}
    arguments = ["train.py", f"experiment={ROW}", *SMOKE]
    plain, shifted = tmp_path / "plain", tmp_path / "shifted"
    assert command(*arguments, OUTPUT_DIR=str(plain)).code == 0
    ended = command(*arguments, before=set_the_clock_back, OUTPUT_DIR=str(shifted), **odd)
    assert ended.code == 0, ended.err
    rows = []
    for folder in (plain, shifted):
        (metrics,) = folder.rglob("metrics.csv")
        with metrics.open(newline="", encoding="utf-8") as file:
            rows.append(list(csv.DictReader(file)))
    seconds = [float(row.pop("seconds")) for row in rows[1]]
    assert 0 <= seconds[0] <= seconds[1] < 60
    assert rows[1] == [{k: v for k, v in row.items() if k != "seconds"} for row in rows[0]]


def test_the_exported_weights_give_the_recorded_error(
    command: Callable, tmp_path: Path, digits: ImageSet
) -> None:
    assert command("train.py", f"experiment={ROW}", *SMOKE).code == 0
    folder = record(tmp_path)
    model = ResNet(8)
    tensors = load_file(folder / "weights.safetensors")
    assert {t.dtype for k, t in tensors.items() if "running" in k} == {torch.float32}
    assert {t.dtype for k, t in tensors.items() if "running" not in k} == {torch.float16}
    model.load_state_dict(tensors, strict=False)
    model.eval()
    mean = digits.train_images.astype(np.float64).mean(0)
    x = torch.from_numpy((digits.test_images - mean).astype(np.float32)).permute(0, 3, 1, 2)
    with torch.no_grad():
        wrong = (model(x).argmax(1).numpy() != digits.test_labels).mean() * 100
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["test_error"]["exported"] == pytest.approx(wrong, abs=1e-3)

    printed = f"top-1 error {wrong:.2f} %"
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}},
               tmp_path / "wrapped.pt")  # fmt: skip
    network = [f"experiment={ROW}", "preset=smoke", "model.depth=8"]
    for arguments in (
        [f"run='{folder}'"],
        [*network, f"weights='{folder}/weights.safetensors'"],
        [*network, f"weights='{tmp_path}/wrapped.pt'"],
    ):
        ended = command("eval.py", *arguments)
        assert ended.code == 0, ended.err
        assert printed in ended.out and "297 test images" in ended.out

    weights, path = folder / "weights.safetensors", folder / "summary.json"
    content, text = bytearray(weights.read_bytes()), path.read_text()
    content[-3001] ^= 0x40
    weights.write_bytes(content)
    ended = command("eval.py", f"run='{folder}'")
    assert ended.code == 2 and "is not what the run of" in ended.err, ended.err
    for name, changed in (("summary.json", text.replace('"last": ', '"last": 1')),
                          ("config.yaml", (folder / "config.yaml").read_text() + " ")):  # fmt: skip
        before = (folder / name).read_bytes()
        (folder / name).write_text(changed)
        ended = command("train.py", f"experiment={ROW}", *SMOKE)
        assert ended.code == 2 and "was changed after it was written" in ended.err, ended.err
        (folder / name).write_bytes(before)
    again = command("train.py", f"experiment={ROW}", *SMOKE).out
    assert "already finished" in again and "other code" not in again
    seal(folder, code=["0" * 16])
    again = command("train.py", f"experiment={ROW}", *SMOKE).out
    assert "already finished" in again and "trained by other code than is here" in again


def test_a_multirun_skips_what_is_finished(command: Callable, tmp_path: Path) -> None:
    rows = [ROW, "he2015_residual/fig6/plain20"]
    sweep = ["-m", f"experiment={','.join(rows)}", "seed=0,1", *SMOKE, "recipe.batch=16",
             "recipe.length=3", "recipe.milestones=[2]"]  # fmt: skip
    ended = command("train.py", *sweep)
    assert ended.code == 0
    summaries = [path for row in rows for seed in (0, 1)
                 for path in tmp_path.rglob(f"{row}+*/digits/seed{seed}/summary.json")]  # fmt: skip
    assert len(summaries) == 4
    closing = [line.split() for line in ended.out.splitlines()[-4:]]
    records = [json.loads(path.read_text()) for path in summaries]
    assert ended.out.splitlines()[-5].startswith("4 of the 4 runs started have finished")
    assert closing == [[f"{one['test_error']['last']:.2f}", "%", one["run"]] for one in records]
    weights = {(path.parent / "weights.safetensors").read_bytes() for path in summaries}
    assert len(weights) == 4, "two of the runs are the same"
    summaries[2].unlink()
    before = [path.stat().st_mtime_ns for path in summaries if path.exists()]
    again = command("train.py", *sweep)
    assert again.code == 0 and again.out.count("already finished") == 3
    assert [p.stat().st_mtime_ns for p in summaries if p != summaries[2]] == before
    assert summaries[2].exists()


def stop_soon(how: Callable[[], object]) -> None:
    """In a process that is about to train: what happens after the eighth iteration."""
    ProgressLine.advance = lambda _, iteration: iteration == 8 and how()  # type: ignore


def close_pipe() -> None:
    """Print the next line into a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, sys.stdout.fileno())
    Terminal().print("a line")


def test_a_closed_pipe_is_like_a_closed_terminal(command: Callable, tmp_path: Path) -> None:
    stop = partial(stop_soon, close_pipe)
    ended = command("train.py", f"experiment={ROW}", *SMOKE, before=stop)
    assert ended.code == PREEMPTED and "stopped at iteration 8; repeat" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert list(record(tmp_path).glob("checkpoint-00000008-*"))


def test_a_run_under_way_is_evaluated_at_its_last_checkpoint(
    command: Callable, tmp_path: Path
) -> None:
    row, given = f"experiment={ROW}", [*SMOKE[:4], "recipe.mean=channel"]
    folder = tmp_path / "outputs" / "runs" / "smoke"
    folder /= f"{ROW}+model.depth=8+recipe.mean=channel/digits/seed0"
    ended = command("eval.py", f"run={folder}")
    assert ended.code == 2 and "no record there" in ended.err
    stop = partial(stop_soon, partial(signal.raise_signal, signal.SIGTERM))
    assert command("train.py", row, *given, before=stop).code == PREEMPTED
    (saved,) = folder.glob("checkpoint-00000008-*")
    ended = command("eval.py", f"run={folder}")
    assert ended.code == 0 and saved.name in ended.out
    assert command("eval.py", row, *given, f"weights={saved}").out == ended.out
    for other in ("recipe.mean=pixel", "recipe.std=channel", "model.order=full_preact"):
        refused = command("eval.py", row, *given, other, f"weights={saved}")
        assert refused.code == 2 and "differs from what is named here" in refused.err
    assert "one finished record" in command("eval.py", f"run={folder}", "analysis=responses").err
    saved.unlink()
    ended = command("eval.py", f"run={folder}")
    assert ended.code == 2 and "has no checkpoint yet" in ended.err


def test_a_run_does_not_go_on_with_other_data_of_the_same_name(
    command: Callable, tmp_path: Path
) -> None:
    def put(seed: int) -> None:
        write(replace(random_set(seed, 200, 50), name="own"), tmp_path / "sets" / "own.npz")

    own = ["data=own", "data.name=own", "data.classes=10", f"data.folder={tmp_path / 'sets'}"]
    given = [f"experiment={ROW}", *own, "model.depth=8", "recipe.length=12", "device=cpu",
             "recipe.milestones=[10]", "threads=1"]  # fmt: skip
    put(0)
    stop = partial(stop_soon, partial(signal.raise_signal, signal.SIGTERM))
    assert command("train.py", *given, before=stop).code == PREEMPTED
    put(1)
    refused = command("train.py", *given)
    assert refused.code == 2 and "was begun on other data of that name" in refused.err
    put(0)
    ended = command("train.py", *given)
    assert ended.code == 0, ended.err
    (summary,) = (tmp_path / "results").rglob("summary.json")
    evaluated = [f"run='{summary.parent}'", own[-1], "device=cpu"]
    assert not command("eval.py", *evaluated).err
    put(1)
    assert "own is not what the run of" in command("eval.py", *evaluated).err


def test_one_failing_job_does_not_stop_a_multirun(command: Callable, tmp_path: Path) -> None:
    ended = command("train.py", "-m", f"experiment={ROW}", *SMOKE, "seed=-1,0")
    assert ended.code == 1
    assert "1 of the 2 runs started have finished" in ended.out
    assert "seed=-1 is impossible" in ended.err and "Traceback" not in ended.err
    assert (record(tmp_path) / "summary.json").exists()


def test_every_override_beyond_row_data_and_seed_is_in_the_name(
    settings_of: Callable[..., Settings],
) -> None:
    settings = settings_of(f"experiment={ROW}", "seed=3")

    def name(*overrides: str) -> str:
        changes = named([f"experiment={ROW}", *overrides])
        return run_name(ROW, changes, settings.data.name, settings.seed)

    assert name("seed=3", "device=cpu", "logger=wandb", "threads=2") == f"{ROW}/cifar10_aug/seed3"
    assert name("precision=bf16") == f"{ROW}+precision=bf16/cifar10_aug/seed3"
    assert name("recipe.lr=0.2", "model.order=original") == name(
        "model.order=original", "recipe.lr=0.2"
    )
    assert "/" not in name("+x=a/b").removeprefix(ROW).partition("/")[0]


def test_a_run_is_locked_before_its_data_are_loaded(command: Callable, tmp_path: Path) -> None:
    """Otherwise two processes would load, and one of them for nothing."""
    folder = tmp_path / "outputs" / "runs" / "paper" / ROW / "cifar10_aug" / "seed0"
    folder.mkdir(parents=True)
    with locked(folder):
        ended = command("train.py", f"experiment={ROW}", "device=cpu")  # whose data are missing
    assert ended.code == 69 and "is being trained by process" in ended.err
    assert command("train.py", f"experiment={ROW}", "device=cpu").code == 3
