"""One run on two processes (gloo, on the CPU), against the same arithmetic in one process."""

import copy
import csv
import itertools
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors.torch import load_file

from data.arrays.imageset import ImageSet
from data.order import DataError
from records.exits import BAD_DATA, FAILED, PREEMPTED
from records.files import ROOT
from tests.conftest import Ended, begun, ended
from tests.training.settings.test_bad_input import stop_after
from training.loop import follow
from training.process.replicas import Replicas, check_shares
from training.process.signals import Signals
from training.runs.finished import check_same
from training.settings.settings import Settings
from training.settings.types import ConfigError
from training.trainer import Trainer
from training.weights.export import exported

# 1,500 images in batches of 33: shares of unequal size, and a short last batch of 15. At a higher
# learning rate, rounding grows into differences that can be seen.
OVERRIDES = [
    "experiment=he2015_residual/table6/resnet20", "preset=smoke", "device=cpu", "threads=1",
    "model.depth=8", "recipe.batch=33", "recipe.wrap=false", "recipe.length=60",
    "recipe.milestones=[30]", "data.pad=1", "data.flip=true", "recipe.lr=0.002",
]  # fmt: skip


@pytest.mark.parametrize("size", [2, 15, 33, 128])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_shares_are_a_partition(size: int, count: int) -> None:
    batch = list(range(size))
    shares = [batch[Replicas(rank, count, rank).share(size)] for rank in range(count)]
    assert list(itertools.chain(*shares)) == batch
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(
    ("asked", "given"),
    [("auto", "cuda:1"), ("cuda", "cuda:1"), ("cuda:0", "cuda:0"), ("cpu", "cpu")],
)
def test_a_process_has_the_gpu_of_its_place_on_its_machine(
    asked: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sixth of eight processes is the second on the second machine of four GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Replicas(rank=5, count=8, local=1).device(asked) == given


def test_batches_too_small_to_share_are_refused() -> None:
    check_shares({128, 80}, 8)
    check_shares({128, 2}, 1)
    with pytest.raises(ConfigError, match="ends with a batch of one image"):
        check_shares({128, 1}, 1)
    with pytest.raises(ConfigError, match="batch of 15 images is too small for 8 processes"):
        check_shares({128, 15}, 8)


def test_the_short_batch_of_an_epoch_is_shared_as_well(
    settings_of: Callable[..., Settings], digits: ImageSet
) -> None:
    with pytest.raises(ConfigError, match="batch of 15 images is too small for 8 processes"):
        Trainer(settings_of(*OVERRIDES), digits, torch.device("cpu"), Replicas(0, 8, 0))


@pytest.fixture
def alone() -> Iterator[None]:
    """A group of processes with this one only."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(("model", "alike"), [
    (["model=densenet", "model.depth=7", "model.growth=4", "model.dropout=0.2"], False),
    (["model.survival=0.5"], True),
])  # fmt: skip
def test_processes_skip_the_same_blocks_and_drop_other_values(
    model: list[str], alike: bool, settings_of: Callable[..., Settings], digits: ImageSet
) -> None:
    """All that is drawn comes from one generator, so what it draws next tells of what it has."""
    settings, drawn = settings_of(*OVERRIDES, "recipe.batch=32", *model), []
    for rank in (0, 1):
        trainer = Trainer(settings, digits, torch.device("cpu"), Replicas(rank, 2, rank))
        trainer.begin_segment()
        trainer.train_iteration()
        drawn.append(torch.rand(8))
    assert torch.equal(*drawn) == alike


@pytest.mark.usefixtures("alone")
def test_who_helps_a_run_leaves_when_its_loss_is_not_finite(
    settings_of: Callable[..., Settings], digits: ImageSet
) -> None:
    """As the first process does, without which no step would ever end."""
    helper = Trainer(settings_of(*OVERRIDES), digits, torch.device("cpu"), Replicas(1, 2, 1))
    helper.metrics.add(torch.tensor(math.inf), torch.eye(10), torch.arange(10))
    follow(helper, Signals())
    assert helper.iteration == 46 < helper.last, "an epoch of 1,500 images in batches of 33"


def torchrun(folder: Path, *overrides: str, **environment: str) -> subprocess.Popen:
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py"]
    places = {"OUTPUT_DIR": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *command, *overrides], cwd=ROOT, env=os.environ | places | environment,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def by_launcher(folder: Path, *overrides: str) -> list[Ended]:
    """How a run on two processes of torchrun's has ended."""
    process = torchrun(folder, *overrides)
    _, errors = process.communicate(timeout=120)
    return [Ended(process.returncode, "", errors)]


def by_hand(
    folder: Path, *overrides: str, of_second: Callable[[], object] | None = None
) -> list[Ended]:
    """How each of two processes has ended that are told what torchrun would tell them; unlike
    torchrun's, neither is killed when the other fails. The second calls `of_second` first."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        told = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "OUTPUT_DIR": str(folder),
                "MASTER_PORT": str(free.getsockname()[1])}  # fmt: skip
    places = [folder / f"cwd{rank}" for rank in range(2)]
    processes = [
        begun(
            folder,
            place,
            "train.py",
            *overrides,
            before=of_second if rank else None,
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            **told,
        )
        for rank, place in enumerate(places)
    ]
    return [ended(process, place, 120) for process, place in zip(processes, places, strict=True)]


def result(folder: Path) -> tuple[list[dict[str, str]], dict[str, torch.Tensor], dict]:
    """Metrics but for the seconds, weights, and summary of the one run below a folder."""
    (summary,) = folder.rglob("summary.json")
    with (summary.parent / "metrics.csv").open(newline="") as file:
        rows = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    weights = load_file(summary.parent / "weights.safetensors")
    return rows, weights, json.loads(summary.read_text())


@pytest.fixture(scope="module")
def on_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    for one in by_hand(folder, *OVERRIDES):
        assert one.code == 0, one.err
    return folder


def test_two_processes_give_the_loss_curve_of_one(
    on_two: Path, settings_of: Callable[..., Settings], digits: ImageSet
) -> None:
    """Statistics of normalisation are those of a half, which one process has to imitate."""
    rows, weights, summary = result(on_two)
    assert (summary["processes"], summary["bn_batch"]) == (2, 16)
    trainer = Trainer(settings_of(*OVERRIDES), digits, torch.device("cpu"))
    losses, begin = imitate(trainer), 0
    assert [row["iteration"] for row in rows] == ["46", "60"]
    for row in rows:
        epoch = losses[begin : int(row["iteration"])]
        mean = sum(loss * size for loss, size in epoch) / sum(size for _, size in epoch)
        assert float(row["train_loss"]) == pytest.approx(mean, rel=1e-5)
        begin += len(epoch)
    expected = exported(trainer.model.state_dict())
    for name, tensor in weights.items():
        assert torch.allclose(tensor.float(), expected[name].float(), rtol=2e-3, atol=2e-3), name


def test_a_record_of_other_parts_of_a_batch_is_another_result(
    on_two: Path, settings_of: Callable[..., Settings]
) -> None:
    (summary,) = on_two.rglob("summary.json")
    settings = settings_of(*OVERRIDES)
    for processes in (1, 2):
        check_same(settings, summary.parent, processes)
    with pytest.raises(ConfigError, match="saw 16 images at once; with 4 processes it sees 8"):
        check_same(settings, summary.parent, 4)


def imitate(trainer: Trainer) -> list[tuple[float, int]]:
    """Train on two copies by plain autograd; loss and size of every batch. The first copy's
    statistics are kept."""
    recipe, model, losses = trainer.recipe, trainer.model, []
    model.train()
    # The flat storage is left behind: these are plain parameters.
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    other = copy.deepcopy(model)
    decayed = [p for p in model.parameters() if p.ndim > 1 or recipe.decay == "all"]
    others = [p for p in model.parameters() if p.ndim == 1 and recipe.decay != "all"]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay},
              {"params": others, "weight_decay": 0.0}]  # fmt: skip
    sgd = torch.optim.SGD(groups, lr=1.0, momentum=recipe.momentum, nesterov=recipe.nesterov)
    for iteration in range(trainer.last):
        trainer.batches.begin(iteration, iteration + 1)
        size = trainer.batches.size(iteration)
        images, labels = trainer.batches.next(size)
        for mine, its in zip(model.parameters(), other.parameters(), strict=True):
            its.data.copy_(mine.data)
        half = size // 2
        first = F.cross_entropy(model(images[:half]), labels[:half], reduction="sum")
        second = F.cross_entropy(other(images[half:]), labels[half:], reduction="sum")
        sgd.zero_grad()
        other.zero_grad()
        ((first + second) / size).backward()
        for mine, its in zip(model.parameters(), other.parameters(), strict=True):
            assert mine.grad is not None and its.grad is not None
            mine.grad += its.grad
        for group in sgd.param_groups:
            group["lr"] = trainer.learning_rate(iteration)
        sgd.step()
        losses.append(((first + second).item() / size, size))
    return losses


@pytest.mark.slow
def test_a_signal_saves_once_and_the_run_goes_on(on_two: Path, tmp_path: Path) -> None:
    process = torchrun(tmp_path, *OVERRIDES, "checkpoint_seconds=0")
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("checkpoint-0000002*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode != 0 and not list(tmp_path.rglob("summary.json"))
    process = torchrun(tmp_path, *OVERRIDES, "checkpoint_seconds=0")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert result(tmp_path)[0] == result(on_two)[0]
    assert all(torch.equal(tensor, result(on_two)[1][name])
               for name, tensor in result(tmp_path)[1].items())  # fmt: skip


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_and_is_saved(tmp_path: Path) -> None:
    for one in by_hand(tmp_path, *OVERRIDES, of_second=partial(stop_after, 3)):
        assert one.code == PREEMPTED and "Error" not in one.err, one.err
    assert list(tmp_path.rglob("checkpoint-00000003-*.pt"))


def break_at_step(number: int) -> None:
    """Let this process fail in a step, as with a damaged image or a full GPU, and say who ends it:
    with NCCL, leaving the group or an ordinary exit would wait for the others."""
    step, steps = Trainer.train_iteration, itertools.count(1)

    def fails(trainer: Trainer) -> None:
        if next(steps) == number:
            raise DataError("n01/x.JPEG is damaged.")
        step(trainer)

    Trainer.train_iteration = fails  # type: ignore[method-assign]
    dist.destroy_process_group = lambda *_: os._exit(99)
    leave = os._exit

    def leaving(code: int) -> None:
        print(sys._getframe(1).f_globals["__name__"], file=sys.stderr, flush=True)
        leave(code)

    os._exit = leaving  # type: ignore[assignment]


@pytest.mark.skipif(sys.platform != "linux", reason="gloo's other transport loses no connection")
def test_when_a_process_fails_its_reason_is_shown_and_the_others_end(tmp_path: Path) -> None:
    first, second = by_hand(tmp_path, *OVERRIDES, of_second=partial(break_at_step, 3))
    expected = "n01/x.JPEG is damaged.\ntraining.process.replicas\n"
    assert (second.code, second.err) == (BAD_DATA, expected)
    assert first.code == FAILED and "Another process of this run has ended" in first.err
    assert "Traceback" not in first.err


def test_a_sweep_under_torchrun_is_refused(tmp_path: Path) -> None:
    for one in by_hand(tmp_path, "-m", *OVERRIDES, "seed=0,1"):
        assert "torchrun trains one run at a time" in one.err and one.code == FAILED, one.err


@pytest.mark.parametrize(
    ("start", "code"), [(by_hand, 2), pytest.param(by_launcher, 1, marks=pytest.mark.slow)]
)
def test_a_bad_configuration_is_named_and_nobody_waits(
    start: Callable[..., list[Ended]], code: int, tmp_path: Path
) -> None:
    for one in start(tmp_path, *OVERRIDES, "engine=fused"):
        assert one.code == code and "engine=fused supports one process per run" in one.err, one.err
        assert "RuntimeError" not in one.err
    assert not list(tmp_path.rglob("*.csv"))


@pytest.mark.parametrize("start", [by_hand, pytest.param(by_launcher, marks=pytest.mark.slow)])
def test_a_finished_run_lets_all_processes_go(
    start: Callable[..., list[Ended]], on_two: Path
) -> None:
    for one in start(on_two, *OVERRIDES):
        assert one.code == 0, one.err
