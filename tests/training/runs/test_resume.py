"""Runs killed anywhere, or asked to stop, end with the same bits as undisturbed ones."""

import csv
import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from training.process.signals import Signals, Stopped
from training.runs.run import run
from training.settings.settings import Settings
from training.trainer import Trainer

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.forked"])
EXPERIMENT = "he2015_residual/table6/resnet20"
RUN = f"{EXPERIMENT}/digits/seed0"
LAST = "last.pt"
# What may differ between two identical runs.
# The checksum is of these, too.
MEASURED = {"seconds", "images_per_second", "peak_memory_bytes", "commit", "clean", "checksum"}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(place: str, count: int) -> None:
    """Have this process killed at the `count`-th passing of a place."""
    import torch

    from records import record
    from training.runs import finished
    from training.trainer import Trainer
    from training.weights import export

    owner, name = {
        "step": (Trainer, "train_iteration"),
        "evaluation": (Trainer, "evaluate"),
        "fsync": (os, "fsync"),
        "rename": (os, "replace"),
        "checkpoint": (torch, "save"),
        "metrics": (record.Record, "append"),
        "weights": (export, "write_atomically"),
        "summary": (record.Record, "finish"),
        "publish": (finished, "copy_record"),
    }[place.removeprefix("after ").removeprefix("inside ")]
    original = getattr(owner, name)
    passed = 0

    def replacement(*arguments: Any, **keywords: Any) -> Any:
        nonlocal passed
        passed += 1
        if passed < count or place.startswith("after"):
            result = original(*arguments, **keywords)
            if passed >= count:
                die()
            return result
        if place == "inside checkpoint":
            half_written(original, *arguments)
        if place == "inside metrics":
            with arguments[0].metrics.open("a") as file:
                file.write("7,0.1,0.0")
        return die()

    setattr(owner, name, replacement)


def half_written(save: Callable[..., None], content: Any, file: Any) -> None:
    """Leave the first half of what would be saved."""
    import io

    whole = io.BytesIO()
    save(content, whole)
    file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
    file.flush()


def work(settings: Settings, place: str | None, count: int) -> None:
    """The body of a child process."""
    from training.runs.run import run

    keep_last_checkpoint(Path(settings.output_dir).parent / LAST)
    if place is not None:
        kill_at(place, count)
    run(settings, EXPERIMENT, RUN)


def keep_last_checkpoint(place: Path) -> None:
    """Keep the state at the end of a run, which is removed otherwise: momentum is nowhere else."""
    from training.runs import checkpoint

    original = checkpoint.clear

    def clear(folder: Path) -> None:
        # Once: of a run that dies while it clears, the newest may be the first to go.
        for path in checkpoint.checkpoints(folder)[: not place.exists()]:
            shutil.copyfile(path, place.with_suffix(".part"))
            place.with_suffix(".part").rename(place)
        original(folder)

    checkpoint.clear = clear


def child(
    settings: Settings, place: str | None = None, count: int = 0, seconds: float | None = None
) -> int | None:
    """Exit code of a run that is killed at a place or after a time, or is left alone."""
    process = CONTEXT.Process(target=work, args=(settings, place, count))
    process.start()
    if seconds is not None:
        process.join(seconds)
        process.kill()
    process.join(120)
    return process.exitcode


def outcome(settings: Settings) -> dict[str, Any]:
    """All that a finished run leaves, without what is measured by the clock."""
    results = Path(settings.results_dir)
    record = results / "runs" / RUN
    with (record / "metrics.csv").open(newline="") as file:
        rows = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    summary = json.loads((record / "summary.json").read_text())
    return {
        "weights": (results / "weights" / f"{RUN}.safetensors").read_bytes(),
        "metrics": rows,
        "summary": {k: v for k, v in summary.items() if k not in MEASURED},
        "config": (record / "config.yaml").read_text(),
        "state": bits(torch.load(Path(settings.output_dir).parent / LAST)["state"]["trainer"]),
    }


def bits(value: Any) -> Any:
    """The same containers with the bytes of every tensor."""
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    return value.numpy().tobytes() if isinstance(value, torch.Tensor) else value


def leftovers(folder: Path) -> set[str]:
    """Files that a finished run should not leave."""
    left = {path.name for path in folder.rglob("*") if path.is_file()}
    return left - {"config.yaml", "metrics.csv", "summary.json", "weights.safetensors",
                   "seed0.safetensors", LAST}  # fmt: skip


@pytest.fixture(scope="module")
def settings_at(settings_of: Callable[..., Settings]) -> Callable[[Path], Settings]:
    """A run of 16 iterations that saves before each of them and counts as a full recipe."""

    def read(folder: Path) -> Settings:
        return settings_of(
            f"experiment={EXPERIMENT}",
            "preset=paper",
            "data=digits",
            "data.pad=2",
            "data.flip=true",
            "device=cpu",
            "threads=1",
            "model.depth=8",
            "recipe.batch=128",
            "recipe.length=16",
            "recipe.milestones=[8,12]",
            "checkpoint_seconds=0",
            f"output_dir={folder}/outputs",
            f"results_dir={folder}/results",
        )

    return read


@pytest.fixture(scope="module")
def finished(
    settings_at: Callable[[Path], Settings], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a run that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert child(settings_at(folder)) == 0
    return folder


@pytest.fixture(scope="module")
def undisturbed(finished: Path, settings_at: Callable[[Path], Settings]) -> dict[str, Any]:
    return outcome(settings_at(finished))


# 16 iterations make two evaluations (after 12 and 16). Every iteration saves first: one torch.save,
# two fsyncs (file, folder), one rename. Before them the start writes two files the same way.
KILLS = [
    [("step", 7)],
    [("after step", 16)],
    [("after evaluation", 2)],
    [("inside checkpoint", 8)],
    [("rename", 8)],
    [("inside metrics", 2)],
    [("after weights", 1)],
    [("after publish", 1)],
    [("step", 5), ("inside checkpoint", 3), ("evaluation", 2), ("summary", 1)],
]
# Next to one of those, or at the very beginning or end.
NEXT = [
    [("step", 1)],
    [("after step", 5)],
    [("evaluation", 1)],
    [("inside checkpoint", 1)],
    [("inside checkpoint", 17)],
    [("fsync", 1)],
    [("fsync", 15)],
    [("fsync", 16)],
    [("rename", 2)],
    [("after rename", 8)],
    [("weights", 1)],
    [("after metrics", 1)],
    [("summary", 1)],
    [("after summary", 1)],
    [("publish", 1)],
]


@pytest.mark.parametrize(
    "kills", [*KILLS, *(pytest.param(kills, marks=pytest.mark.slow) for kills in NEXT)],
    ids=lambda kills: ", ".join(f"{place} {count}" for place, count in kills),
)  # fmt: skip
def test_a_killed_run_ends_with_the_same_bits(
    kills: list[tuple[str, int]],
    undisturbed: dict[str, Any],
    settings_at: Callable[[Path], Settings],
    tmp_path: Path,
) -> None:
    settings = settings_at(tmp_path)
    for place, count in kills:
        assert child(settings, place, count) == -signal.SIGKILL
    assert child(settings) == 0
    assert outcome(settings) == undisturbed
    assert not leftovers(tmp_path)


def drawn_kills(count: int) -> list[tuple[str, int]]:
    """Places to die at, drawn with a fixed seed, and times: half of them inside a write."""
    draw = random.Random(0)  # noqa: S311
    writes = [("inside checkpoint", 17), ("fsync", 34), ("rename", 18), ("after rename", 18),
              ("inside metrics", 2), ("summary", 1), ("publish", 1), ("weights", 1)]  # fmt: skip
    others = [("step", 16), ("after step", 16), ("evaluation", 2), ("time", 100)]
    kills = []
    for number in range(count):
        place, most = draw.choice(writes if number % 2 else others)
        kills.append((place, draw.randint(1, most)))
    return kills


@pytest.mark.slow
def test_two_hundred_kills(
    undisturbed: dict[str, Any],
    settings_at: Callable[[Path], Settings],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kills, equal, died = drawn_kills(200), 0, 0
    for number, (place, count) in enumerate(kills):
        settings = settings_at(tmp_path / str(number))
        if place == "time":
            code = child(settings, seconds=count / 100)
        else:
            code = child(settings, place, count)
        died += code == -signal.SIGKILL
        assert child(settings) == 0
        equal += outcome(settings) == undisturbed and not leftovers(tmp_path / str(number))
        shutil.rmtree(tmp_path / str(number))
    inside = sum(place in ("inside checkpoint", "fsync", "rename", "after rename",
                           "inside metrics", "summary") for place, _ in kills)  # fmt: skip
    with capsys.disabled():
        print(f"\n{died} of 200 runs killed, {inside} of them in a write; {equal} end bit-equal")
    assert equal == 200 and inside >= 60 and died >= 190


# Those of schedulers differ in their number only, as the next test shows.
OTHERS = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 75),
        (signal.SIGINT, 130),
        *(pytest.param(number, 75, marks=pytest.mark.slow) for number in OTHERS),
    ],
)
def test_a_signal_saves_and_the_run_goes_on_from_there(
    number: signal.Signals,
    code: int,
    undisturbed: dict[str, Any],
    settings_at: Callable[[Path], Settings],
    tmp_path: Path,
) -> None:
    settings = settings_at(tmp_path)
    process = CONTEXT.Process(target=signalled, args=(settings, number))
    process.start()
    process.join(60)
    assert process.exitcode == code
    checkpoints = list(tmp_path.rglob("checkpoint-*.pt"))
    assert len(checkpoints) == 2 and not list(tmp_path.rglob("summary.json"))
    assert child(settings) == 0
    assert outcome(settings) == undisturbed


def signalled(settings: Settings, number: signal.Signals) -> None:
    """Send this process a signal in its sixth step, and end as train.py does."""
    from training.runs.entry import guard
    from training.runs.run import run
    from training.trainer import Trainer

    original, steps = Trainer.train_iteration, 0
    if number == signal.SIGHUP:
        signal.signal(number, signal.SIG_DFL)  # whoever runs the tests may ignore it
    # A scheduler signals every process, and whoever started this one passes it on.
    times = 1 if number == signal.SIGINT else 2

    def step(trainer: Trainer) -> None:
        nonlocal steps
        steps += 1
        original(trainer)
        if steps == 6:
            for _ in range(times):
                os.kill(os.getpid(), number)
        assert steps <= 6, "it went on after the signal"

    Trainer.train_iteration = step  # type: ignore[method-assign]
    guard(lambda: run(settings, EXPERIMENT, RUN) and None, resumable=True)


@pytest.mark.parametrize("number", OTHERS)
def test_what_schedulers_send_means_the_same(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # whoever runs the tests may ignore it
    try:
        with Signals() as signals:
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
        assert signals.code == 75 and signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_under_nohup_a_closed_terminal_ends_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.code is None
            os.kill(os.getpid(), signal.SIGTERM)
        assert signals.code == 75 and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_launcher_gets_its_signal_when_the_run_has_saved(
    undisturbed: dict[str, Any], settings_at: Callable[[Path], Settings], tmp_path: Path
) -> None:
    settings = settings_at(tmp_path)
    process = CONTEXT.Process(target=launched, args=(settings,))
    process.start()
    process.join(60)
    assert process.exitcode == 7
    assert "checkpoint-00000006" in (tmp_path / "requeued").read_text()
    assert child(settings) == 0
    assert outcome(settings) == undisturbed


def launched(settings: Settings) -> None:
    """A run under the handlers of a cluster's launcher, as submitit sets them."""

    def requeue(number: int, frame: object) -> None:
        folder = Path(settings.output_dir).parent
        (folder / "requeued").write_text(str(sorted(folder.rglob("*.pt"))))
        raise SystemExit(7)

    signal.signal(signal.SIGUSR2, requeue)
    signal.signal(signal.SIGTERM, lambda *_: None)
    os.kill(os.getpid(), signal.SIGTERM)
    signalled(settings, signal.SIGUSR2)


def test_a_second_signal_ends_at_once(
    settings_at: Callable[[Path], Settings], tmp_path: Path
) -> None:
    process = CONTEXT.Process(target=signalled_twice, args=(settings_at(tmp_path),))
    process.start()
    process.join(60)
    assert process.exitcode == 130


def signalled_twice(settings: Settings) -> None:
    from training.runs.run import run
    from training.trainer import Trainer

    def step(trainer: Trainer) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

    Trainer.train_iteration = step  # type: ignore[method-assign]
    run(settings, EXPERIMENT, RUN)


def test_a_finished_run_is_left_alone(
    finished: Path, settings_at: Callable[[Path], Settings], tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    settings = settings_at(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert child(settings, "step", 1) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_record_tells_of_everything_that_trained_it(
    settings_at: Callable[[Path], Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first half by changed code on one device, the second by committed code on another."""
    settings, original = settings_at(tmp_path), Trainer.train_iteration

    def step(trainer: Trainer) -> None:
        original(trainer)
        if trainer.iteration == 6:
            os.kill(os.getpid(), signal.SIGTERM)

    def trained(device: str, *, clean: bool) -> None:
        monkeypatch.setattr("training.runs.run.name_of", lambda *_: device)
        monkeypatch.setattr("training.runs.run.commit", lambda: {"commit": "a", "clean": clean})
        run(settings, EXPERIMENT, RUN)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(Trainer, "train_iteration", step)
        trained("Cray-1", clean=False)
    trained("Cray-2", clean=True)
    record = Path(settings.results_dir) / "runs" / RUN / "summary.json"
    summary = json.loads(record.read_text(encoding="utf-8"))
    assert summary["device"] == "Cray-1, then Cray-2" and summary["clean"] is False
