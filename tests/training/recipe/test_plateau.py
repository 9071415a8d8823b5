"""The plateau schedule against PyTorch's ReduceLROnPlateau."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from data.arrays.imageset import ImageSet
from tests.conftest import Ended
from training.recipe.plateau import THRESHOLD, Plateau
from training.settings.settings import Settings
from training.trainer import Trainer

# Tiny epochs of 1,500 images in batches of 500; a rate of 0 keeps the error where it is.
OVERRIDES = [
    "recipe.schedule=plateau", "recipe.milestones=[]", "recipe.batch=500", "recipe.wrap=false",
]  # fmt: skip


def reference(patience: int, errors: list[float], lr: float) -> list[float]:
    """The learning rate after each epoch, by PyTorch."""
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = ReduceLROnPlateau(sgd, factor=0.1, patience=patience, threshold=THRESHOLD, eps=0)
    rates = []
    for error in errors:
        schedule.step(error)
        rates.append(sgd.param_groups[0]["lr"])
    return rates


@pytest.mark.parametrize("patience", [0, 1, 5])
def test_rate_drops_where_pytorch_drops_it(patience: int) -> None:
    noise = np.random.default_rng(patience).random(100)
    errors = [80 / (1 + epoch // 20) + noise[epoch] for epoch in range(100)]
    plateau, drops = Plateau(patience), []
    for error in errors:
        plateau.note(error)
        drops.append(plateau.drops)
    expected = reference(patience, errors, 1.0)
    assert drops[-1] > 0
    assert [10.0**-drop for drop in drops] == pytest.approx(expected)


def test_recorded_rates_follow_the_recorded_training_errors(
    command: Callable[..., Ended], tmp_path: Path
) -> None:
    arguments = ["experiment=he2015_residual/table6/resnet20", "preset=smoke", "device=cpu",
                 "model.depth=8", "recipe.length=12", "recipe.patience=0", "recipe.lr=1e-12",
                 *OVERRIDES]  # fmt: skip
    ended = command("train.py", *arguments)
    assert ended.code == 0, ended.err
    (metrics,) = tmp_path.rglob("metrics.csv")
    with metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    errors, rates = ([float(row[key]) for row in rows] for key in ("train_error", "lr"))
    expected = reference(0, errors, rates[0])
    assert (
        rates == pytest.approx([rates[0], *expected[:-1]], rel=1e-6, abs=0) and rates[-1] < rates[0]
    )


def test_a_resumed_run_knows_how_long_it_has_waited(
    tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    settings = tiny(*OVERRIDES, "recipe.lr=1e-12", "recipe.patience=2", "recipe.batch=50")
    digits = replace(
        digits, train_images=digits.train_images[:150], train_labels=digits.train_labels[:150]
    )

    def epoch(trainer: Trainer) -> float:
        trainer.begin_segment()
        for _ in range(3):
            trainer.train_iteration()
        trainer.end_segment()
        return trainer.learning_rate(trainer.iteration)

    whole = Trainer(settings, digits, torch.device("cpu"))
    assert [epoch(whole) for _ in range(3)] == [1e-12] * 3
    resumed = Trainer(settings, digits, torch.device("cpu"))
    resumed.load(whole.state())
    assert epoch(resumed) == epoch(whole) == pytest.approx(1e-13, rel=1e-6, abs=0)


def test_the_error_decides_and_not_the_loss(
    tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    trainer = Trainer(tiny(*OVERRIDES, "recipe.patience=0"), digits, torch.device("cpu"))
    classes, rates = torch.arange(10), []
    for loss, right in ((1.0, 5), (2.0, 6), (0.5, 6)):
        labels = torch.where(classes < right, classes, (classes + 1) % 10)
        trainer.metrics.add(torch.tensor(loss), torch.eye(10), labels)
        trainer.end_segment()
        rates.append(trainer.learning_rate(0))
    assert rates == pytest.approx([rates[0], rates[0], 0.1 * rates[0]])
