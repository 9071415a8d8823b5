"""What the rows and the summary of a run say of its training, under a clock that steps set."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from data.arrays.imageset import ImageSet
from training import loop
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


def test_seconds_are_of_training_and_the_rate_is_of_the_last_iteration(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes 2 seconds, an evaluation 100; an earlier process took 10."""
    now, rows, step = [0.0], list[Any](), trainer.train_iteration

    def taking(seconds: float, result: Any = None) -> Callable[..., Any]:
        def call(*_: object) -> Any:
            now[0] += seconds
            return result

        return call

    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(trainer, "train_iteration", lambda: (step(), taking(2)()))
    monkeypatch.setattr(trainer, "evaluate", taking(100, (1.0, 50.0)))
    record: Any = SimpleNamespace(append=rows.append)
    progress: Any = SimpleNamespace(advance=taking(0), evaluated=taking(0))
    signals: Any = SimpleNamespace(code=None)
    ended = loop.train(
        trainer, record, seconds=10, save=taking(30), save_every=1e9, progress=progress,
        signals=signals, log=taking(50),
    )  # fmt: skip
    assert ended == ("finished", 22)
    assert [row["seconds"] for row in rows] == [16, 22]
    assert [row["lr"] for row in rows] == pytest.approx([0.02, 0.002])
    assert [(row["iteration"], row["epoch"]) for row in rows] == [(3, 1), (6, 2)]
    told = summary.summarise(
        trainer.settings, trainer, rows=rows, seconds=16, code=[], devices=["a CPU"]
    )
    assert told["images_per_second"] == 80 / 16


def test_the_weights_chosen_by_validation_are_not_chosen_by_the_test() -> None:
    """The first of those with the lowest validation error."""
    rows = [
        {"val_error": val, "test_error": test} for val, test in ((5, 9), (5, 7), (6, 1), (8, 4))
    ]
    assert summary.test_errors(rows) == {"last": 4, "best": 1, "at_best_val": 9}
    unvalidated = [{"test_error": 3.0}, {"test_error": 5.0}]
    assert summary.test_errors(unvalidated) == {"last": 5, "best": 3, "at_best_val": None}
