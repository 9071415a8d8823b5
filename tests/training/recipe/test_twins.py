"""A shallow twin of every distinct unit, shortcut, family and recipe trains and resumes; with
`make test-all`, every row itself takes three steps."""

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from data.arrays.imageset import ImageSet
from models import resnet
from models.densenet import Transition
from models.stochastic_depth import StochasticDepth
from training.counts.rows import trained
from training.settings.config import CONF
from training.settings.settings import Settings
from training.trainer import Trainer

# The least depth at which each kind of network shows all it has.
SHALLOW = {
    None: 8,
    "basic": 8,
    "bottleneck": 11,
    "single": 5,
    "wide": 10,
    "fractal": 13,
    False: 7,
    True: 10,
}
NARROW = {"wide": {"widen": 2}, "fractal": {"widths": [4, 6, 6]}}
SHALLOW_IMAGENET = {"basic": 18, "bottleneck": 50, True: 121}
ALL = [(row, data) for row, data in trained() if "fitnet19" not in row]  # see test_student.py
# What makes one network, or one recipe, unlike another; size apart.
KIND = ("unit", "order", "shortcut", "match", "projection_norm", "stride_on", "share_preact",
        "survival_rule", "bias", "norm_init", "bottleneck")  # fmt: skip


def generated(settings: Settings, images: int, size: int) -> ImageSet:
    """Random images in the shape of a set."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (images + 8, size, size, 3), dtype=np.uint8)
    y = rng.integers(0, settings.data.classes, len(x))
    names = tuple(map(str, range(settings.data.classes)))
    return ImageSet("generated", x[:-8], y[:-8], x[-8:], y[-8:], names)


def small(settings: Settings, *, batch: int, size: int, **model: Any) -> Settings:
    """The same settings for a few small images."""
    holdout = min(settings.recipe.holdout, 4)
    data = replace(settings.data, size=size)
    recipe = replace(settings.recipe, batch=batch, holdout=holdout, crop="pad", colour="none")
    if "size" in settings.model:  # a network whose classifier reads whole maps
        model.setdefault("size", size)
    return replace(settings, data=data, recipe=recipe, model=settings.model | model)


def narrowed(words: str) -> str:
    """A stack with a sixteenth of the channels."""
    return re.sub(r"(?<=x)\d+", lambda width: str(int(width[0]) // 16), words)


def kind(settings: Settings) -> tuple:
    model = settings.model
    kept = tuple(model.get(key) for key in KIND)
    fractions = (model.get("compression", 1) < 1, model.get("survival", 1) < 1)
    scales = (model.get("scale_shortcut"), model.get("scale_branch"))
    wide = (model.get("widen", 1) > 1, model.get("dropout", 0) > 0, settings.recipe.prepare)
    return (
        model["_target_"], settings.recipe.name, *kept, *fractions, *scales, *wide,
    )  # fmt: skip


def written(row: str) -> tuple[str, str]:
    """A row's table and config, size apart: rows that share both are of one kind."""
    text = (CONF / "experiment" / f"{row}.yaml").read_text(encoding="utf-8")
    return row.rpartition("/")[0], re.sub(
        r"#.*|(depth|growth|widen|survival|gate_bias): .*", r"\1", text
    )


@pytest.fixture(scope="module")
def twins(settings_of: Callable[..., Settings]) -> dict[tuple, tuple[str, Settings]]:
    """One row of every kind, made shallow."""
    found: dict[tuple, tuple[str, Settings]] = {}
    for row, data in {written(row): (row, data) for row, data in ALL}.values():
        settings = settings_of(f"experiment={row}", f"data={data}")
        model = settings.model
        if "depth" not in model or "VGG" in model["_target_"]:  # they have no shallow form
            narrow = {"layers": narrowed(model["layers"])} if "layers" in model else {}
            imagenet = settings.data.source == "imagenet"
            size = 80 if imagenet else 12
            twin = small(settings, batch=2 if imagenet else 8, size=size, **narrow)
            if imagenet:  # two images of noise are no batch for their rates
                twin = replace(twin, recipe=replace(twin.recipe, lr=1e-4))
            found.setdefault(kind(settings), (f"{row} on {data}", twin))
            continue
        which = model["unit"] if "unit" in model else model.get("bottleneck")
        which = "wide" if model.get("widen", 1) > 1 else which
        which = "fractal" if "drop_path" in model else which
        if settings.data.source == "imagenet":
            thin = {"growth": 8} if "growth" in model else {}
            twin = small(settings, batch=2, size=64, depth=SHALLOW_IMAGENET[which], **thin)
        else:
            twin = small(settings, batch=8, size=12, depth=SHALLOW[which], **NARROW.get(which, {}))
        found.setdefault(kind(settings), (f"{row} on {data}", twin))
    return found


def steps(trainer: Trainer, count: int) -> None:
    trainer.begin_segment()
    for _ in range(count):
        trainer.train_iteration()


def everything(trainer: Trainer) -> dict[str, torch.Tensor]:
    momentum = {f"momentum {name}": m for name, m in trainer.optimizer.momentum.items()}
    return {**trainer.weights(), **momentum, "sums": trainer.metrics.sums}


@pytest.mark.parametrize("imagenet", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_twins_train_and_resume(
    imagenet: bool, twins: dict[tuple, tuple[str, Settings]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of ImageNet's networks, whose images are larger, take as long as all others."""
    for module in ("models.fully_connected", "models.prelu_net"):
        monkeypatch.setattr(f"{module}.WIDTH", 512)
    monkeypatch.setattr("models.prelu_net.WIDTHS", dict.fromkeys("ABC", (96, 96, 96)))
    monkeypatch.setitem(resnet.WIDTHS, "imagenet", (8, 16, 32, 64))
    assert len(twins) > 40
    chosen = [twin for twin in twins.values() if (twin[1].data.source == "imagenet") == imagenet]
    assert len(chosen) > 5
    for name, settings in chosen:
        images = generated(settings, 40, settings.data.size)
        whole = Trainer(settings, images, torch.device("cpu"))
        before = {k: v.clone() for k, v in whole.model.state_dict().items()}
        steps(whole, 2)
        resumed = Trainer(settings, images, torch.device("cpu"))
        resumed.load(deepcopy(whole.state()))
        steps(whole, 1)
        steps(resumed, 1)
        after = everything(whole)
        for key, value in everything(resumed).items():
            assert torch.equal(value, after[key]), f"{name}: {key}"
        moved = [k for k, v in before.items() if not torch.equal(v, after[k])]
        weights = [k for k, p in whole.model.named_parameters() if p.ndim > 1]
        assert {weights[0], weights[-1]} <= set(moved), name
        assert np.isfinite(whole.metrics.take()[0]), name
        for split in whole.splits:
            assert np.isfinite(whole.evaluate(split)[0]), name


@pytest.mark.slow
def test_every_kind_has_a_twin(
    twins: dict[tuple, tuple[str, Settings]], settings_of: Callable[..., Settings]
) -> None:
    for row, data in ALL:
        assert kind(settings_of(f"experiment={row}", f"data={data}")) in twins, row


def test_closed_blocks_decay_and_keep_their_momentum(settings_of: Callable[..., Settings]) -> None:
    """Against the update of Huang et al. 2016's code, w by w: one vector for all parameters."""
    settings = small(
        settings_of("experiment=huang2016_stochastic/table1/resnet110_stochastic"),
        batch=8, size=12, depth=20, survival=0.2, survival_rule="uniform",
    )  # fmt: skip
    trainer = Trainer(settings, generated(settings, 40, 12), torch.device("cpu"))
    recipe, closed = settings.recipe, 0
    momentum = {name: torch.zeros_like(p) for name, p in trainer.model.named_parameters()}
    trainer.begin_segment()
    for _ in range(4):
        before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
        statistics = {n: b.clone() for n, b in trainer.model.named_buffers() if "running" in n}
        trainer.train_iteration()
        for name, p in trainer.model.named_parameters():
            given = trainer.optimizer.gradient[name]
            gradient = given + recipe.weight_decay * before[name]
            momentum[name] = recipe.momentum * momentum[name] + gradient
            update = gradient + recipe.momentum * momentum[name]  # Nesterov
            torch.testing.assert_close(p.detach(), before[name] - recipe.lr * update)
        for name, module in trainer.model.named_modules():
            if isinstance(module, StochasticDepth):
                weights = [key for key, _ in module.named_parameters(name)]
                if not any(trainer.optimizer.gradient[key].any() for key in weights):
                    closed += 1
                    for key, value in module.named_buffers(name):
                        if "running" in key:
                            assert torch.equal(value, statistics[key])
    assert closed > 4


@pytest.mark.parametrize("by", ["dropout", "a function"])
def test_what_is_drawn_depends_on_seed_and_iteration_alone(
    by: str, settings_of: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = "experiment=huang2017_dense/table2/densenet_40_12"
    settings = small(settings_of(row, "data=cifar10"), batch=8, size=12, depth=7)
    assert settings.model["dropout"] == 0.2
    if by == "a function":  # that no module shows, as someone may write it
        plain = Transition.forward
        settings = replace(settings, model=settings.model | {"dropout": 0.0})
        monkeypatch.setattr(Transition, "forward", lambda s, x: F.dropout(plain(s, x), 0.2))
    images = generated(settings, 40, 12)
    first, second = (Trainer(settings, images, torch.device("cpu")) for _ in range(2))
    steps(first, 3)
    torch.rand(7)  # somebody else draws
    steps(second, 3)
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize(("row", "data"), ALL, ids=[f"{row}-{data}" for row, data in ALL])
def test_every_row_takes_three_steps(
    row: str, data: str, settings_of: Callable[..., Settings]
) -> None:
    settings = settings_of(f"experiment={row}", f"data={data}", "device=cpu")
    imagenet = settings.data.source == "imagenet"
    settings = small(settings, batch=2, size=80 if imagenet else settings.data.size)
    trainer = Trainer(settings, generated(settings, 10, settings.data.size), torch.device("cpu"))
    weight = next(m for m in trainer.model.modules() if isinstance(m, nn.Conv2d)).weight
    before = weight.detach().clone()
    steps(trainer, 3)
    assert np.isfinite(trainer.metrics.take()[0])
    assert weight.isfinite().all() and not torch.equal(weight, before)
