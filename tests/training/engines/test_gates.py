"""Stochastic depth by gates does what skipping closed blocks does."""

from collections.abc import Callable

import pytest
import torch

from data.arrays.imageset import ImageSet
from models.stochastic_depth import StochasticDepth
from training.engines.drawn import GatedDepth, Gates
from training.recipe.step import Step
from training.settings.settings import Settings
from training.trainer import Trainer

DEPTH = ["model.depth=14", "model.survival=0.3", "model.survival_rule=uniform"]


def gated(trainer: Trainer) -> None:
    """Give a trainer on the CPU the gates that it would have on a GPU."""
    assert isinstance(trainer.step, Step)
    gates = Gates(trainer.model, seed=trainer.settings.seed, longest=40)
    trainer.drawn, trainer.step.hooks = [gates], [gates, *trainer.step.hooks]


@pytest.mark.parametrize("recipe", ["huang2016", "he2015"])
def test_gates_give_the_weights_and_statistics_of_skipping(
    recipe: str, tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    settings = tiny(*DEPTH, "precision=fp32", f"recipe={recipe}", "recipe.batch=64")
    skipping, gating = (Trainer(settings, digits, torch.device("cpu")) for _ in range(2))
    gated(gating)
    assert not any(isinstance(m, StochasticDepth) for m in gating.model.modules())
    for trainer in (skipping, gating):
        trainer.begin_segment()
        for _ in range(8):
            trainer.train_iteration()
    assert any(isinstance(m, GatedDepth) for m in gating.model.modules())
    expected = skipping.weights()
    for name, tensor in gating.weights().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-5, msg=name)
    for name, momentum in gating.optimizer.momentum.items():
        expected_momentum = skipping.optimizer.momentum[name]
        torch.testing.assert_close(momentum, expected_momentum, rtol=1e-3, atol=1e-4, msg=name)
    assert skipping.evaluate("test")[0] == pytest.approx(gating.evaluate("test")[0], rel=1e-3)
