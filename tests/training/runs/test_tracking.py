"""Weights & Biases: an offline run read back with its own command line; no harm where it fails."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args
from wandb.sdk.lib.config_util import save_config_file_from_dict

from experiments.sharing import wandb_sync
from records.files import ROOT
from tests.conftest import forked
from training.runs.named import NamedRun
from training.runs.tracking import answer_sweep
from training.settings.config import CONF, read_settings
from training.settings.settings import Logger

GOLDEN = ROOT / "tests" / "golden" / "runs"
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


def test_the_environment_names_project_and_entity(monkeypatch: pytest.MonkeyPatch) -> None:
    def logger() -> Logger:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            overrides = [f"experiment={EXPERIMENT}", "logger=wandb"]
            return read_settings(compose("config", overrides=overrides)).logger

    for name in ("WANDB_PROJECT", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    assert logger() == Logger("wandb", "residual-to-dense", None)
    monkeypatch.setenv("WANDB_PROJECT", "depth")
    monkeypatch.setenv("WANDB_ENTITY", "a-team")
    assert logger() == Logger("wandb", "depth", "a-team")


def test_an_offline_run_mirrors_the_record(
    command: Callable, tmp_path: Path, home: dict[str, str]
) -> None:
    ended = command("train.py", *SMOKE, **home)
    assert ended.code == 0 and not ended.err, ended.err
    (summary_file,) = tmp_path.rglob("summary.json")
    record = summary_file.parent
    (offline,) = (record / "wandb").glob("offline-run-*")

    told = inspect(offline)
    history = [line["history"]["item"] for line in told if line["type"] == "history"]
    with (record / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [item["_step"] for item in history] == [int(row["iteration"]) for row in rows]
    for item, row in zip(history, rows, strict=True):
        for name in ("train_loss", "train_error", "test_loss", "test_error"):
            mirrored = item[name.replace("_", "/")]
            assert mirrored == pytest.approx(float(row[name]), abs=1e-4)

    (run,) = inspect(offline, "--summary")
    assert run["project"] == "residual-to-dense" and run["state"] == "finished"
    assert run["tags"] == ["he2015_residual", "table6", "smoke"]
    assert run["config"]["dataset"] == "digits"
    assert run["config"]["recipe"]["milestones"] == [10]
    recorded = json.loads(summary_file.read_text())
    assert run["summary"]["test_error"] == recorded["test_error"]
    assert run["name"] == recorded["run"]
    (started,) = (line["run"] for line in told if line["type"] == "run")
    assert started["run_group"] == EXPERIMENT


@pytest.mark.slow
def test_an_agent_of_a_sweep_gets_what_it_asks_for(
    command: Callable, tmp_path: Path, home: dict[str, str]
) -> None:
    sweep = yaml.safe_load((ROOT / "experiments" / "sweep.yaml").read_text())
    chosen = {key: one.get("value", one.get("values", [None])[-1])
              for key, one in sweep["parameters"].items()}  # fmt: skip
    assert None not in chosen.values()
    # A version of a second or two, as another sweep's file could fix it.
    chosen |= dict(word.split("=") for word in SMOKE) | {"recipe.holdout": 100}
    arguments = {key: {"value": value} for key, value in chosen.items()}
    places = {
        "env": ["/usr/bin/env"], "interpreter": ["python"], "program": [sweep["program"]],
        **create_sweep_command_args({"args": arguments}),
    }  # fmt: skip
    typed = [
        word for part in create_sweep_command(sweep["command"])
        for word in (places[part[2:-1]] if part.startswith("${") else [part])
    ]  # fmt: skip
    assert typed[:3] == ["/usr/bin/env", "python", "train.py"]

    for identity in ("first", "again"):  # the second time the run has ended long ago
        parameters = tmp_path / f"config-{identity}.yaml"
        save_config_file_from_dict(str(parameters), arguments)
        agent = {"WANDB_SWEEP_ID": "5weep", "WANDB_RUN_ID": identity,
                 "WANDB_SWEEP_PARAM_PATH": str(parameters), "WANDB_MODE": "offline"}  # fmt: skip
        ended = command(*typed[2:], **home, **agent)
        assert ended.code == 0 and not ended.err, ended.err
        assert ("already" in ended.out) == (identity == "again")
    (record,) = (path.parent for path in tmp_path.rglob("summary.json"))
    with (record / "metrics.csv").open(newline="") as file:
        *_, last = csv.DictReader(file)
    for identity in ("first", "again"):
        (offline,) = (record / "wandb").glob(f"offline-run-*-{identity}")
        (run,) = inspect(offline, "--summary")
        assert run["state"] == "finished" and run["run_id"] == identity
        (started,) = (line["run"] for line in inspect(offline) if line["type"] == "run")
        assert started["sweep_id"] == "5weep"
        assert run["config"]["recipe"]["lr"] == chosen["recipe.lr"]
        assert run["config"]["recipe.lr"] == chosen["recipe.lr"]
        objective = run["summary"][sweep["metric"]["name"]]
        assert objective == pytest.approx(float(last["val_error"]), abs=1e-4)


@pytest.mark.parametrize(("preset", "typed"), [("paper", ""), ("smoke", " PRESET=smoke")])
def test_who_wants_a_mirror_of_a_run_that_has_ended_hears_how(
    preset: str, typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path))
    for name in ("none", "wandb"):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            named = [f"experiment={EXPERIMENT}", f"preset={preset}", f"logger={name}"]
            settings = read_settings(compose("config", overrides=named))
        answer_sweep(NamedRun(settings, EXPERIMENT, "a/b/c/d/seed0"))
        printed = capsys.readouterr().out
        assert (f"`make wandb-sync{typed}`" in printed) == (name == "wandb")
    assert not list(tmp_path.iterdir())


def test_a_record_is_told_again_completely_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path / "outputs"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("HOME", str(tmp_path))
    run = "he2015_residual/table6/resnet20/cifar10_aug/seed0"
    shutil.copytree(GOLDEN / run, tmp_path / "results" / "runs" / run)
    assert wandb_sync.main([]) == 0
    assert "1 records, 1 sent or written now." in capsys.readouterr().out
    (offline,) = (tmp_path / "outputs" / "wandb-sync" / "wandb").glob("offline-run-*")
    history = [line["history"]["item"] for line in inspect(offline) if line["type"] == "history"]
    with (GOLDEN / run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [item["_step"] for item in history] == [int(row["iteration"]) for row in rows]
    assert [item["test/error"] for item in history] == [float(row["test_error"]) for row in rows]
    (mirrored,) = inspect(offline, "--summary")
    assert mirrored["summary"]["run"] == run and mirrored["state"] == "finished"
    assert wandb_sync.main([]) == 0
    assert "1 records, 0 sent or written now." in capsys.readouterr().out


def break_wandb(place: str) -> None:
    """Have W&B fail when it is imported, started, or given a row."""
    if place == "import":
        sys.modules["wandb"] = None  # type: ignore[assignment]
        return
    if place in ("service midway", "service at the end"):
        kill_service(30 if place.endswith("end") else 26)
        return
    import wandb

    def fail(*_: object, **__: object) -> None:
        raise wandb.errors.CommError("no server answers")

    if place == "init":
        wandb.init = fail
    else:
        wandb.Run.log = fail  # type: ignore[method-assign]


def kill_service(iteration: int) -> None:
    """Have W&B's own process killed when an iteration is done."""
    from training.trainer import Trainer

    original = Trainer.train_iteration

    def step(trainer: Trainer) -> None:
        original(trainer)
        if trainer.iteration == iteration:
            children = ["pgrep", "-f", "-P", str(os.getpid()), "wandb-core"]
            found = subprocess.run(children, check=True, capture_output=True, text=True)
            for child in found.stdout.split():
                os.kill(int(child), signal.SIGKILL)

    Trainer.train_iteration = step  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def untracked_weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Weights of the same run without W&B."""
    folder = tmp_path_factory.mktemp("untracked")
    overrides = [part for part in SMOKE if part != "logger=wandb"]
    ended = forked(folder, "train.py", *overrides)
    assert ended.code == 0, ended.err
    (file,) = folder.rglob("weights.safetensors")
    return file.read_bytes()


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["closed", "silent"])
def test_a_server_that_does_not_answer_costs_half_a_minute_at_most(
    kind: str,
    command: Callable,
    tmp_path: Path,
    home: dict[str, str],
    silent_server: str,
    untracked_weights: bytes,
) -> None:
    address = silent_server if kind == "silent" else "http://127.0.0.1:9"
    key = {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": address, "WANDB_MODE": "online"}
    begin = time.monotonic()
    ended = command("train.py", *SMOKE, **home, **key)
    # The run itself takes some seconds; 30 is what the server may cost.
    assert ended.code == 0 and time.monotonic() - begin < 30 + 20
    assert ended.err.count("The run goes on without it.") == 1, ended.err
    (weights,) = tmp_path.rglob("weights.safetensors")
    assert weights.read_bytes() == untracked_weights


# One function guards every call; these are the first, and the last.
PLACES = ["import", "init", "service at the end"]
SLOW = ["log", "service midway"]


@pytest.mark.parametrize(
    "place", [*PLACES, *(pytest.param(place, marks=pytest.mark.slow) for place in SLOW)]
)
def test_a_run_goes_on_without_wandb(
    place: str, command: Callable, tmp_path: Path, home: dict[str, str], untracked_weights: bytes
) -> None:
    ended = command("train.py", *SMOKE, before=partial(break_wandb, place), **home)
    assert ended.code == 0 and "Traceback" not in ended.err
    assert ended.err.count("The run goes on without it.") == 1, ended.err
    (metrics,) = tmp_path.rglob("metrics.csv")
    assert len(metrics.read_text().splitlines()) == 3  # the head, 24 and 30 iterations
    (weights,) = tmp_path.rglob("weights.safetensors")
    assert weights.read_bytes() == untracked_weights


def test_a_sweep_waits_for_an_absent_server_once(
    command: Callable, tmp_path: Path, home: dict[str, str]
) -> None:
    small = ["recipe.length=3", "recipe.milestones=[1]", "seed=0,1"]
    given = [*(word for word in SMOKE if not word.startswith("recipe.")), *small]
    ended = command("train.py", "-m", *given, before=partial(break_wandb, "init"), **home)
    assert ended.code == 0 and len(list(tmp_path.rglob("summary.json"))) == 2
    assert ended.err.count("The run goes on without it.") == 1, ended.err
