"""Stochastic depth by gates does what skipping closed blocks does."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from data.arrays.imageset import ImageSet
from models.stochastic_depth import StochasticDepth
from training.engines.gates import GatedDepth, Gates
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


def test_closed_branches_keep_their_statistics() -> None:
    torch.manual_seed(0)
    branches = [nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)) for _ in range(2)]
    for branch in branches:
        branch[1].num_batches_tracked = None
    model = nn.Sequential(*(StochasticDepth(branch, 0.5) for branch in branches))
    gates = Gates(model, seed=0, longest=2)
    gates.begin(0, 2)
    gates.table[0] = torch.tensor([1.0, 0.0])
    gates.before_forward()
    model(torch.randn(4, 2, 3, 3) + 5)
    gates.after_backward()
    assert branches[0][1].running_mean.all() and not branches[1][1].running_mean.any()
    assert torch.equal(branches[1][1].running_var, torch.ones(2))
