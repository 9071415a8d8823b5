"""The recorded gradient of the first block's first convolution against what autograd hands out."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from data.arrays.imageset import ImageSet
from training.settings.settings import Settings
from training.trainer import Trainer

CASES = {
    "stages.0.0.branch.conv1": [],
    "stages.0.0.branch.branch.conv1": ["model.survival=0.3", "model.survival_rule=uniform"],
    "stages.block1.layers.0.first.conv1": [
        "experiment=huang2017_dense/table2/densenet_40_12", "model.depth=7", "preset=smoke",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_is_what_autograd_gives_the_first_block(
    name: str, precision: str, tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    settings = tiny(*CASES[name], f"precision={precision}", "recipe.batch=16")
    trainer = Trainer(settings, digits, torch.device("cpu"))
    weight, seen = dict(trainer.model.named_parameters())[name + ".weight"], list[float]()

    def collect(parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        seen.append(float(parameter.grad.abs().double().mean()))

    weight.register_post_accumulate_grad_hook(collect)
    trainer.begin_segment()
    steps = 0
    while len(seen) < 8:  # a block that is left out has none
        before = len(seen)
        trainer.train_iteration()
        steps += 1
        expected = seen[-1] if len(seen) > before else 0.0
        assert trainer.gradient() == pytest.approx(expected, rel=1e-5)
    assert (steps == 8) == ("survival" not in str(CASES[name]))


def test_a_network_without_convolutions_has_none(
    tiny: Callable[..., Settings], digits: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(settings: Settings) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 10))

    monkeypatch.setattr("training.engines.engine.build_model", build)
    trainer = Trainer(tiny(), digits, torch.device("cpu"))
    trainer.begin_segment()
    trainer.train_iteration()
    assert trainer.gradient() is None
