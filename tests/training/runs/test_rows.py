"""What the rows and the summary of a run say of its training, and when it is saved, under a clock
that steps set."""

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from data.arrays.imageset import ImageSet
from experiments.execution.execute import PATIENCE
from records.exits import PREEMPTED
from training import loop
from training.process.signals import Stopped
from training.runs import summary
from training.settings.settings import Settings
from training.trainer import Trainer


@pytest.fixture
def trainer(tiny: Callable[..., Settings], digits: ImageSet) -> Trainer:
    """Two epochs of 40 images, in batches of 16, 16 and 8; the rate drops between them."""
    settings = tiny("data.pad=0")
    changes = {"batch": 16, "wrap": False, "length": 6, "milestones": [3], "lr": 0.02}
    settings = replace(settings, recipe=replace(settings.recipe, **changes))
    few = {name: getattr(digits, name)[:40] for name in
           ("train_images", "train_labels", "test_images", "test_labels")}  # fmt: skip
    return Trainer(settings, replace(digits, **few), torch.device("cpu"))


class Timed:
    """The loop of a trainer under a clock: a step takes 2 seconds, an evaluation 100, logging 50.

    Attributes:
        saving: seconds that a checkpoint takes.
        waiting: seconds until the GPU has done what it was given, and its loss is known.
        stop_at: the iteration after which a signal arrives.
        rows: what it has recorded.
        saved: iteration and seconds of every checkpoint.
        touched: how often it gave another sign of life.
    """

    def __init__(self, trainer: Trainer, monkeypatch: pytest.MonkeyPatch):
        self.trainer, self.now, self.stop_at, self.touched = trainer, 0.0, 0, 0
        self.saving = self.waiting = 0.0
        is_finite = trainer.metrics.is_finite
        monkeypatch.setattr(
            trainer.metrics, "is_finite", lambda: self.taking(self.waiting, is_finite())
        )
        self.rows, self.saved = list[Any](), list[tuple[int, float]]()
        self.signals: Any = SimpleNamespace(code=None)
        self.step = trainer.train_iteration
        monkeypatch.setattr(loop.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(trainer, "train_iteration", self.train_iteration)
        monkeypatch.setattr(trainer, "evaluate", lambda _: self.taking(100, (1.0, 50.0)))

    def taking(self, seconds: float, result: Any = None) -> Any:
        self.now += seconds
        return result

    def train_iteration(self) -> None:
        self.step()
        self.taking(2)
        if self.trainer.iteration == self.stop_at:
            self.signals.code = PREEMPTED

    def save(self, seconds: float) -> None:
        self.saved.append((self.trainer.iteration, seconds))
        self.taking(self.saving)

    def touch(self) -> None:
        self.touched += 1

    def train(self, *, seconds: float, save_every: float) -> tuple[str, float]:
        record: Any = SimpleNamespace(append=self.rows.append, touch=self.touch)
        progress: Any = SimpleNamespace(advance=lambda _: None, evaluated=lambda _: None)
        return loop.train(
            self.trainer, record, seconds=seconds, save=self.save, save_every=save_every,
            progress=progress, signals=self.signals, log=lambda _: self.taking(50),
        )  # fmt: skip


@pytest.fixture
def timed(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> Timed:
    return Timed(trainer, monkeypatch)


def test_seconds_are_of_training_and_the_rate_is_of_the_last_iteration(timed: Timed) -> None:
    """An earlier process took 10 seconds."""
    timed.saving = 30
    assert timed.train(seconds=10, save_every=1e9) == ("finished", 22)
    assert timed.saved == [(6, 22)]
    assert [row["seconds"] for row in timed.rows] == [16, 22]
    assert [row["lr"] for row in timed.rows] == pytest.approx([0.02, 0.002])
    assert [(row["iteration"], row["epoch"]) for row in timed.rows] == [(3, 1), (6, 2)]
    told = summary.summarise(
        timed.trainer.settings, timed.trainer, rows=timed.rows, seconds=16, code=[],
        devices=["a CPU"],
    )  # fmt: skip
    assert told["images_per_second"] == 80 / 16


def test_checkpoints_are_as_far_apart_as_asked_and_know_the_seconds(timed: Timed) -> None:
    """Every 4 seconds, the time of evaluations included: two steps, an evaluation, two steps."""
    timed.train(seconds=10, save_every=4)
    assert timed.saved == [(iteration, 10 + 2 * iteration) for iteration in (2, 3, 5, 6)]


def test_checkpoints_that_take_long_are_further_apart(timed: Timed) -> None:
    """A second each, and so 50 seconds apart, instead of after each two steps."""
    timed.saving = 1
    timed.train(seconds=10, save_every=4)
    assert [iteration for iteration, _ in timed.saved] == [2, 3, 6]


def test_waiting_for_the_gpu_is_training_and_no_cost_of_checkpoints(timed: Timed) -> None:
    timed.waiting = 1
    timed.train(seconds=10, save_every=4)
    # Steps take 2 seconds; each checkpoint waits for one more, and is followed by the next after 4.
    assert timed.saved[:3] == [(2, 15), (3, 18), (5, 23)]


def test_checkpoints_are_a_sign_of_life_to_the_plan(timed: Timed) -> None:
    """However long one takes."""
    assert loop.LONGEST < PATIENCE / 2
    for timed.now, due in ((1, 61), (2, 102), (36, 636)):  # a checkpoint begun at 0
        assert loop._next(0, 60) == due
    assert loop._next(0, 1000) == 1036


def test_after_every_step_means_every_step(timed: Timed) -> None:
    timed.saving = 1
    timed.train(seconds=0, save_every=0)
    assert [iteration for iteration, _ in timed.saved] == [0, 1, 2, 3, 4, 5, 6]


def make_infinite(trainer: Trainer) -> None:
    """Have the loss of a segment be infinite from its beginning."""
    trainer.metrics.add(torch.tensor(math.inf), torch.eye(10), torch.arange(10))


@pytest.mark.parametrize("finite", [True, False])
def test_a_stopped_run_says_from_where_it_goes_on(finite: bool, timed: Timed) -> None:
    timed.stop_at = 2
    if not finite:
        make_infinite(timed.trainer)
    with pytest.raises(Stopped, match="at iteration 2; repeat") as stopped:
        timed.train(seconds=0, save_every=1e9)
    assert stopped.value.code == PREEMPTED and not timed.rows
    assert [iteration for iteration, _ in timed.saved] == ([2] if finite else [])
    assert ("from the last checkpoint, because" in str(stopped.value)) == (not finite)


def test_the_last_checkpoint_with_a_finite_loss_is_kept_while_a_run_diverges(timed: Timed) -> None:
    make_infinite(timed.trainer)
    assert timed.train(seconds=0, save_every=0)[0] == "diverged"
    # Whoever started it kills what gives no sign of life.
    assert not timed.saved and timed.touched == 3 and len(timed.rows) == 1


def test_the_weights_chosen_by_validation_are_not_chosen_by_the_test() -> None:
    """The first of those with the lowest validation error."""
    rows = [
        {"val_error": val, "test_error": test} for val, test in ((5, 9), (5, 7), (6, 1), (8, 4))
    ]
    assert summary.test_errors(rows) == {"last": 4, "best": 1, "at_best_val": 9}
    unvalidated = [{"test_error": 3.0}, {"test_error": 5.0}]
    assert summary.test_errors(unvalidated) == {"last": 5, "best": 3, "at_best_val": None}
