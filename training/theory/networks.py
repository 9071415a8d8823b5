"""Small networks of the papers' kinds, trained on the spot: a few hundred iterations on digits."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from data.arrays.augment import normalise
from data.arrays.imageset import ImageSet
from data.sets import load
from models.residual import ResidualUnit
from models.resnet import ResNet
from training.settings.config import CONF, composed
from training.trainer import Trainer

DEPTH = 38  # of residual and plain networks: 18 units, six in each stage
# The row of a table, and the override that makes its network small.
SMALL = f"model.depth={DEPTH}"
ROWS = {
    "full pre-activation": ("he2016_identity/table2/full_preact_110", SMALL),
    "original": ("he2015_residual/table6/resnet110", SMALL),
    "scaling 0.5": ("he2016_identity/table1/scale_05_05", SMALL),
    "exclusive gate": ("he2016_identity/table1/exclusive_gate_b0", SMALL),
    "plain": ("he2015_residual/fig6/plain56", SMALL),
    "stochastic depth": ("huang2016_stochastic/table1/resnet110_stochastic", SMALL),
    "DenseNet": ("huang2017_dense/table2/densenet_40_12", "model.depth=22"),
}


@dataclass(frozen=True)
class Trained:
    """A network before and after training, and what it was trained and tested on.

    Attributes:
        start, model: as initialised, and as trained.
        train, test: normalised images (N, 3, H, W) and labels (N,).
    """

    start: nn.Module
    model: nn.Module
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def train(name: str, iterations: int | None = None) -> Trained:
    """Train one of `ROWS` by its recipe, shortened as by `preset=smoke`.

    Args:
        iterations: number of them, if not the preset's.
    """
    row, smaller = ROWS[name]
    overrides = (f"experiment={row}", "preset=smoke", "device=cpu", "precision=fp32", smaller)
    settings = composed(*overrides)
    images = load("digits", CONF)
    assert isinstance(images, ImageSet)
    trainer = Trainer(settings, images, torch.device("cpu"))
    start = deepcopy(trainer.model)
    last = trainer.last if iterations is None else iterations
    while trainer.iteration < last:
        end = trainer.begin_segment()
        while trainer.iteration < min(end, last):
            trainer.train_iteration()
        trainer.end_segment()

    def seen(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return normalise(images, mean=trainer.mean, scale=trainer.scale), labels

    taught = (torch.from_numpy(images.train_images), torch.from_numpy(images.train_labels).long())
    return Trained(start, trainer.model.eval(), seen(*taught), seen(*trainer.splits["test"]))


def units(model: nn.Module) -> Iterator[ResidualUnit]:
    """The residual units of a network, first to last."""
    assert isinstance(model, ResNet)
    for stage in model.stages:
        assert isinstance(stage, nn.Sequential)
        yield from stage  # type: ignore[misc]
