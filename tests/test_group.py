"""Runs that share a process: the same bits as alone, and no harm to each other."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from training import group, group_entry
from training.group import Group, Job
from training.naming import run_name
from training.run import run
from training.settings import Settings
from training.signals import Signals
from training.trainer import Trainer

ROW = "he2015_residual/table6/resnet20"
# Networks and seeds of several kinds: with numbers drawn on the way, and of different lengths.
KINDS = [
    ["seed=1"],
    ["seed=2", "recipe.length=40"],
    ["seed=1", "model.survival=0.5"],
    ["seed=3", "model.shortcut=dropout"],
]


@pytest.fixture
def job(settings_of: Callable[..., Settings], tmp_path: Path) -> Callable[..., Job]:
    """A job of a second or two that writes below `tmp_path`, in a folder of one's own."""

    def make(number: int, folder: str, *overrides: str) -> Job:
        told = [
            f"experiment={ROW}", "preset=smoke", "device=cpu", "threads=1", "model.depth=8",
            "recipe.length=30", "recipe.milestones=[12,18]", *overrides,
            f"output_dir={tmp_path}/{folder}/outputs", f"results_dir={tmp_path}/{folder}/results",
        ]  # fmt: skip
        settings = settings_of(*told)
        return Job(number, ROW, run_name(ROW, told, settings), settings)

    return make


def carry_out(jobs: list[Job], at_once: int, signals: Signals | None = None) -> dict[int, int]:
    """Outcomes by number."""
    outcomes: dict[int, int] = {}

    def report(number: int, code: int, reason: str) -> None:
        assert bool(reason) == (code not in (0, 4)), "what goes wrong has a reason"
        outcomes[number] = code

    code = Group(jobs, at_once, signals or Signals(), report).run()
    assert code == (signals.code or 0 if signals else 0)
    return outcomes


def records(folder: Path) -> dict[str, tuple]:
    """Weights, and metrics but for the seconds, of every run below a folder."""
    found = {}
    for summary in folder.rglob("summary.json"):
        lines = (summary.parent / "metrics.csv").read_text().splitlines()
        metrics = [line.rpartition(",")[0] for line in lines]
        file = summary.parent / "weights.safetensors"
        weights = load_file(file) if file.exists() else {}  # a diverged run has none
        found[str(summary.parent.relative_to(folder))] = (metrics, weights)
    return found


def assert_same(one: dict[str, tuple], other: dict[str, tuple]) -> None:
    assert one.keys() == other.keys() and one
    for name, (metrics, weights) in one.items():
        assert metrics == other[name][0], name
        for key, tensor in weights.items():
            assert torch.equal(tensor, other[name][1][key]), (name, key)


def test_company_changes_no_bit(job: Callable[..., Job], tmp_path: Path) -> None:
    alone = [job(k, "alone", *kind) for k, kind in enumerate(KINDS)]
    for one in alone:
        assert run(one.settings, ROW, one.name) == "finished"
    together = [job(k, "together", *kind) for k, kind in enumerate(KINDS)]
    assert carry_out(together, at_once=3) == dict.fromkeys(range(4), 0)
    assert_same(records(tmp_path / "alone"), records(tmp_path / "together"))
    summaries = [json.loads(p.read_text()) for p in tmp_path.rglob("summary.json")]
    assert sorted(s["runs_at_once"] for s in summaries) == [1, 1, 1, 1, 3, 3, 3, 3]


def test_a_run_that_diverges_or_raises_leaves_the_others_alone(
    job: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    train_iteration = Trainer.train_iteration

    def sometimes_raise(self: Trainer) -> None:
        if self.seed == 5 and self.iteration == 7:
            raise RuntimeError("a bug")
        train_iteration(self)

    monkeypatch.setattr(Trainer, "train_iteration", sometimes_raise)
    jobs = [
        job(0, "all", "seed=5"),
        job(1, "all", "recipe.lr=1e30", "recipe.warmup_lr=1e30"),
        job(2, "all", "seed=1"),
        job(3, "all", "data.folder=nowhere", "data.source=cifar10", "data.size=32"),
    ]
    assert carry_out(jobs, at_once=4) == {0: 1, 1: 4, 2: 0, 3: 3}
    assert "a bug" in capsys.readouterr().err
    run(job(2, "alone", "seed=1").settings, ROW, jobs[2].name)
    alone = records(tmp_path / "alone")
    assert_same(alone, {k: v for k, v in records(tmp_path / "all").items() if k in alone})


def test_without_memory_a_run_waits_for_the_others(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built: list[int] = []
    prepare = Trainer.prepare_model

    def build(self: Trainer, settings: Settings, device: torch.device) -> torch.nn.Module:
        built.append(settings.seed)
        if len(built) in (2, 4):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return prepare(self, settings, device)

    monkeypatch.setattr(Trainer, "prepare_model", build)
    jobs = [job(k, "all", f"seed={k}") for k in range(3)]
    assert carry_out(jobs, at_once=3) == {0: 0, 1: 0, 2: 1}
    assert built == [0, 1, 1, 2], "one at once after the first failure; alone, it is final"
    printed = capsys.readouterr().err
    assert "beside 1 other run" in printed and "CUDA out of memory" in printed


class StopAt(Signals):
    """A signal that comes after a number of looks."""

    def __init__(self, looks: int):
        self.looks = looks

    @property
    def code(self) -> int | None:  # type: ignore[override]
        self.looks -= 1
        return 75 if self.looks < 0 else None


def test_a_signal_saves_all_runs_and_they_go_on(job: Callable[..., Job], tmp_path: Path) -> None:
    def jobs(folder: str) -> list[Job]:
        return [job(k, folder, f"seed={k}") for k in range(3)]

    stopped = carry_out(jobs("stopped"), 2, StopAt(30))
    assert stopped == {0: 75, 1: 75}, "the third had not started, and has no outcome"
    assert len(list(tmp_path.rglob("checkpoint-*.pt"))) == 2
    assert carry_out(jobs("stopped"), 2) == dict.fromkeys(range(3), 0)
    assert carry_out(jobs("whole"), 1) == dict.fromkeys(range(3), 0)
    assert_same(records(tmp_path / "whole"), records(tmp_path / "stopped"))


def test_a_lost_gpu_ends_the_process(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: Trainer) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(Trainer, "train_iteration", fail)
    monkeypatch.setattr(group, "is_lost", lambda: True)
    monkeypatch.setattr(group.os, "_exit", leave)
    with pytest.raises(SystemExit) as ended:
        carry_out([job(0, "all"), job(1, "all", "seed=1")], 2)
    assert ended.value.code == group.FAULT
    assert "GPU is lost (CUDA error: an illegal" in capsys.readouterr().err


@pytest.fixture
def entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[int, list[dict[str, Any]]]]]:
    """Call the command with jobs; its exit code, and the outcomes in the file."""
    for name in ("OUTPUT_DIR", "RESULTS_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))

    def call(jobs: list[list[str]]) -> tuple[int, list[dict[str, int]]]:
        outcomes = tmp_path / "outcomes"
        monkeypatch.setattr(sys, "argv", ["group_entry", "--outcomes", str(outcomes)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(jobs)))
        code = group_entry.main()
        return code, [json.loads(line) for line in outcomes.read_text().splitlines()]

    yield call


def test_the_command_names_bad_jobs_and_does_the_others(
    entry: Callable[..., tuple[int, list[dict[str, int]]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny = ["preset=smoke", "device=cpu", "model.depth=8", "recipe.length=5",
            "recipe.milestones=[]"]  # fmt: skip
    jobs = [
        [f"experiment={ROW}", "model.depht=8"],
        [f"experiment={ROW}", "seed=0", *tiny],
        ["experiment=he2015_residual/table6/resnet21"],
        [f"experiment={ROW}", "model.depth=9"],
    ]
    code, outcomes = entry(jobs)
    assert code == 0
    assert [(line["job"], line["code"]) for line in outcomes] == [(0, 2), (2, 2), (3, 2), (1, 0)]
    printed = capsys.readouterr().err
    for reason, line in zip(("model.depht", "resnet21", "nearest"), outcomes, strict=False):
        assert reason in printed and reason in line["reason"]
    (summary,) = tmp_path.rglob("summary.json")
    assert json.loads(summary.read_text())["experiment"] == ROW
