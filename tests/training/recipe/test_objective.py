"""Objectives against their formulas, and a step with a network that puts out more than logits."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from data.arrays.imageset import ImageSet
from tests.emulated import Emulated
from training.recipe.objective import objective_of
from training.settings.settings import Settings
from training.trainer import Trainer


def entropy(scores: np.ndarray, labels: np.ndarray, smoothing: float) -> float:
    """Szegedy et al. 2016, Section 7: the label has 1 - s, and s is shared among all classes."""
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    wanted = (1 - smoothing) * np.eye(scores.shape[1])[labels] + smoothing / scores.shape[1]
    return float(-(wanted * np.log(shares)).sum(1).mean())


def hinge(scores: np.ndarray, labels: np.ndarray, _: float) -> float:
    total = 0.0
    for row, label in zip(scores, labels, strict=True):
        for k, score in enumerate(row):
            total += max(0.0, 1 - (score if k == label else -score)) ** 2
    return total / len(scores)


@pytest.mark.parametrize(("name", "auxiliary", "smoothing", "term"), [
    ("cross_entropy", 0.0, 0.0, entropy), ("cross_entropy", 0.3, 0.0, entropy),
    ("cross_entropy", 0.4, 0.1, entropy), ("cross_entropy", 0.0, 0.1, entropy),
    ("squared_hinge", 1.0, 0.0, hinge), ("squared_hinge", 0.0, 0.0, hinge),
])  # fmt: skip
def test_losses_are_weighted_sums_of_the_terms_of_all_outputs(
    name: str, auxiliary: float, smoothing: float, term: Callable[..., float],
    settings_of: Callable[..., Settings],
) -> None:  # fmt: skip
    recipe = replace(
        settings_of("experiment=he2015_residual/table6/resnet20").recipe,
        objective=name, auxiliary=auxiliary, smoothing=smoothing,
    )  # fmt: skip
    torch.manual_seed(0)
    outputs = tuple(2 * torch.randn(5, 4) for _ in range(3))
    labels = torch.tensor([0, 1, 2, 3, 1])
    loss, logits = objective_of(recipe)(outputs, labels)
    top, *others = (term(x.double().numpy(), labels.numpy(), smoothing) for x in outputs)
    assert float(loss) == pytest.approx(top + auxiliary * sum(others), rel=1e-5)
    assert torch.equal(logits, outputs[0])
    alone, _ = objective_of(recipe)(outputs[0], labels)
    assert float(alone) == pytest.approx(top, rel=1e-5)


class Headed(nn.Module):
    """A network, and a second classifier that it has in training only."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network, self.head = network, nn.Linear(3, 10)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        logits = self.network(x)
        return (logits, self.head(x.mean((2, 3)))) if self.training else logits


@pytest.fixture
def headed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives every network a head."""
    from training.engines import engine

    build = engine.build_model
    monkeypatch.setattr(engine, "build_model", lambda settings: Headed(build(settings)))


@pytest.mark.usefixtures("headed")
@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize("auxiliary", [0.0, 0.3])
def test_a_head_learns_where_it_counts_and_evaluation_ignores_it(
    auxiliary: float, captured: bool, tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    changes = "recipe.weight_decay=0", "recipe.warmup_iterations=0", "recipe.batch=32"
    settings = tiny(f"recipe.auxiliary={auxiliary}", *changes)
    graphs = Emulated() if captured else None
    trainer = Trainer(settings, digits, torch.device("cpu"), graphs=graphs)
    assert isinstance(trainer.model, Headed)
    before = trainer.model.head.weight.detach().clone()
    trainer.begin_segment()
    losses = []
    for _ in range(20):
        trainer.train_iteration()
        losses.append(trainer.metrics.take())
    assert torch.equal(before, trainer.model.head.weight) == (auxiliary == 0)
    assert losses[-1][0] < losses[0][0] and losses[-1][1] < losses[0][1]
    loss, _ = trainer.evaluate("test")
    nn.init.zeros_(trainer.model.head.weight)
    assert trainer.evaluate("test")[0] == loss


@pytest.mark.usefixtures("headed")
@pytest.mark.parametrize(("objective", "captured"), [
    ("cross_entropy", False), ("cross_entropy", True), ("squared_hinge", False),
])  # fmt: skip
def test_a_head_learns_until_its_weight_has_fallen_to_nothing(
    objective: str, captured: bool, tiny: Callable[..., Settings], digits: ImageSet,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    falls = "recipe.auxiliary=0.5", "recipe.auxiliary_end=0", "recipe.auxiliary_length=5"
    settings = tiny(*falls, "recipe.batch=16", f"recipe.objective={objective}")
    graphs = Emulated() if captured else None
    trainer = Trainer(settings, digits, torch.device("cpu"), graphs=graphs)
    trainer.begin_segment()
    learns = []
    for _ in range(8):
        trainer.train_iteration()
        learns.append(bool(trainer.optimizer.gradient["head.weight"].any()))
    assert learns == [True] * 5 + [False] * 3
    assert not captured or not capfd.readouterr().err  # which would say that it runs eagerly
