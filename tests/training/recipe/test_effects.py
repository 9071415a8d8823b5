"""An override is refused exactly where a run comes out the same without it."""

from contextlib import nullcontext
from functools import cache
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from data.sets import load
from training.recipe.effects import refuse_idle
from training.settings.config import CONF, read_settings
from training.settings.types import ConfigError
from training.trainer import Trainer

RESNET = ("experiment=he2015_residual/table6/resnet20", "model.depth=8")
DENSENET = ("experiment=huang2017_dense/table2/densenet_40_12", "model.depth=7")
SMALL = (
    "preset=smoke",
    "device=cpu",
    "recipe.length=6",
    "recipe.batch=16",
    "recipe.milestones=[2,4]",
    "threads=1",
)
MOVED, FLAT = "data.pad=2", "recipe.milestones=[]"
GCN = ("++recipe.prepare=gcn", "recipe.mean=none", "recipe.std=none")

CASES = [
    (RESNET, "recipe.dropout=0.5"),
    (DENSENET, "recipe.dropout=0.5"),
    (DENSENET, "recipe.init=fan_in"),
    (RESNET, "recipe.patience=1"),
    (RESNET, "recipe.lr_power=3"),
    ((*RESNET, "++recipe.schedule=polynomial"), "recipe.lr_power=3"),
    ((*RESNET, "++recipe.schedule=polynomial"), "recipe.lr_factor=0.7"),
    ((*RESNET, "++recipe.schedule=linear"), "recipe.lr_factor=0.7"),
    ((*RESNET, "++recipe.schedule=linear"), "recipe.lr_length=2"),
    (RESNET, "recipe.lr_length=2"),
    (RESNET, "recipe.milestones=[1]"),
    ((*RESNET, "++recipe.schedule=linear"), "recipe.milestones=[1]"),
    (RESNET, "recipe.warmup_lr=0.5"),
    ((*RESNET, "recipe.warmup_iterations=2"), "recipe.warmup_lr=0.5"),
    (RESNET, "recipe.contrast=9.0"),
    ((*RESNET, *GCN), "recipe.contrast=9.0"),
    (RESNET, "recipe.short_to=300"),
    (RESNET, "recipe.border=reflect"),
    ((*RESNET, MOVED), "recipe.border=reflect"),
    (RESNET, "recipe.translate=1"),
    ((*RESNET, MOVED), "recipe.translate=1"),
    (RESNET, "recipe.auxiliary=0.5"),
    (RESNET, "recipe.head_lr=0.5"),
    (RESNET, "recipe.teacher=a"),
    (RESNET, "recipe.deviations=[0.1]"),
    (RESNET, "data.pad=2"),
    (RESNET, "data.flip=true"),
    (RESNET, "model.survival_rule=uniform"),
    ((*RESNET, "++model.survival=0.1"), "model.survival_rule=uniform"),
    (RESNET, "model.stride_on=3x3"),
    ((*RESNET, "++model.unit=bottleneck", "model.depth=11"), "model.stride_on=3x3"),
    (RESNET, "model.share_preact=first"),
    ((*RESNET, "++model.order=relu_preact"), "model.share_preact=first"),
    (RESNET, "model.match=pool"),
    ((*RESNET, "++model.shortcut=none"), "model.match=pool"),
    (RESNET, "model.projection_norm=false"),
    ((*RESNET, "++model.match=project"), "model.projection_norm=false"),
    (RESNET, "model.scale_branch=0.5"),
    ((*RESNET, "++model.shortcut=scale"), "model.scale_branch=0.5"),
    (RESNET, "model.gate_bias=-1.0"),
    ((*RESNET, "++model.shortcut=exclusive_gate"), "model.gate_bias=-1.0"),
    (RESNET, "model.shortcut_dropout=0.1"),
    ((*RESNET, "++model.shortcut=dropout"), "model.shortcut_dropout=0.1"),
    ((*RESNET, FLAT), "recipe.lr_factor=0.7"),
    ((*RESNET, "recipe.lr_factor=1.0"), "recipe.milestones=[1]"),
    ((*RESNET, "recipe.lr_factor=1.0", "++recipe.fresh_momentum=true"), "recipe.milestones=[1]"),
    (RESNET, "recipe.fresh_momentum=true"),
    ((*RESNET, FLAT), "recipe.fresh_momentum=true"),
    (RESNET, "recipe.decay=all"),
    ((*RESNET, "recipe.weight_decay=0.0"), "recipe.decay=all"),
    (RESNET, "damaged=skip"),
    (RESNET, "recipe.smoothing=0.1"),
    ((*RESNET, "recipe.phases=[{length:2,lr:0.1},{length:4,lr:0.2}]"), "recipe.lr=0.3"),
    ((*RESNET, "recipe.phases=[{length:2,lr:0.1},{length:4}]"), "recipe.lr=0.3"),
    (RESNET, "recipe.conv_lr=0.5"),
    (RESNET, "recipe.bias_lr=0.5"),
]  # fmt: skip


@pytest.mark.parametrize(("run", "override"), CASES)
def test_what_is_refused_changes_nothing_and_the_rest_does(
    run: tuple[str, ...], override: str
) -> None:
    changed = (*SMALL, *run, f"++{override}")
    config, refused = config_of(changed), False
    try:
        refuse_idle([f"++{override}"], read_settings(config), config)
    except ConfigError as error:
        assert str(error).startswith(f"{override} has no effect without ")
        refused = True
    before, after = weights(SMALL + run), weights(changed)
    assert refused == all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(("override", "refused"), [
    ("recipe.auxiliary=3.0", True), ("recipe.objective=squared_hinge", True),
    ("recipe.smoothing=0.1", True), ("recipe.lr_factor=0.5", True), ("recipe.decay=all", True),
    ("recipe.auxiliary_length=300", False), ("recipe.lr=0.1", False),
])  # fmt: skip
def test_what_both_phases_of_a_student_set_is_refused(override: str, refused: bool) -> None:
    config = config_of(("experiment=romero2015_fitnet/table1/fitnet19", override))
    with pytest.raises(ConfigError, match="has no effect") if refused else nullcontext():
        refuse_idle([override], read_settings(config), config)


@cache
def config_of(overrides: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


@cache  # most cases start from the same run
def weights(overrides: tuple[str, ...]) -> list[torch.Tensor]:
    """Of a network after six steps."""
    images = load("digits", Path())
    trainer = Trainer(read_settings(config_of(overrides)), images, torch.device("cpu"))
    trainer.begin_segment()
    for _ in range(6):
        trainer.train_iteration()
    return [parameter.detach() for parameter in trainer.model.parameters()]
