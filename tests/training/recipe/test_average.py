"""The moving average of weights against its formula; evaluated and exported in their place."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor

from data.arrays.imageset import ImageSet
from tests.emulated import Emulated
from training.recipe.evaluate import evaluate
from training.settings.network import rebuilt
from training.settings.settings import Settings
from training.trainer import Trainer

BATCH = "recipe.batch=16"  # bfloat16 is slow on many CPUs


def trainer_of(settings: Settings, images: ImageSet, captured: bool = False) -> Trainer:
    graphs = Emulated() if captured else None
    trainer = Trainer(settings, images, torch.device("cpu"), graphs=graphs)
    trainer.begin_segment()
    return trainer


def state_of(trainer: Trainer) -> dict[str, Tensor]:
    """The weights that are trained, and the statistics."""
    return {k: v.detach().clone() for k, v in trainer.optimizer.state()["model"].items()}


@pytest.mark.parametrize(("captured", "precision"), [
    (False, "fp32"), (True, "fp32"), (False, "bf16"),
])  # fmt: skip
def test_averages_follow_their_formula(
    captured: bool, precision: str, tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    settings = tiny("recipe.weight_average=0.3", f"precision={precision}", BATCH)
    trainer = trainer_of(settings, digits, captured)
    expected = state_of(trainer)
    for update in range(1, 7):
        trainer.train_iteration()
        kept = min(0.3, (1 + update) / (10 + update))
        for name, value in state_of(trainer).items():
            expected[name] = kept * expected[name] + (1 - kept) * value
    trained, averaged = state_of(trainer), trainer.weights()
    assert expected.keys() == averaged.keys()
    for name, value in expected.items():
        torch.testing.assert_close(averaged[name], value, rtol=1e-5, atol=1e-6)
    assert any(not torch.equal(averaged[name], value) for name, value in trained.items())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_averages_are_evaluated_and_training_goes_on_without_them(
    precision: str, tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    override = f"precision={precision}"
    averaging = trainer_of(tiny("recipe.weight_average=0.9", override, BATCH), digits)
    plain = trainer_of(tiny(override, BATCH), digits)
    for trainer in (averaging, plain):
        for _ in range(5):
            trainer.train_iteration()
    x, y = averaging.splits["test"]
    model = rebuilt(averaging.settings, averaging.weights(), torch.device("cpu"))
    mean, scale = averaging.mean, averaging.scale
    expected = evaluate(model, x, y, mean=mean, scale=scale, bf16=precision == "bf16")
    assert averaging.evaluate("test") == pytest.approx(expected, rel=1e-4)
    assert plain.evaluate("test") != pytest.approx(expected, rel=1e-2)
    for trainer in (averaging, plain):
        trainer.model.train()
        trainer.train_iteration()
    for name, value in state_of(plain).items():
        assert torch.equal(state_of(averaging)[name], value), name


def test_averages_go_on_where_they_were(tiny: Callable[..., Settings], digits: ImageSet) -> None:
    """From a state of another precision, whose weights lie elsewhere, too."""
    settings = tiny("recipe.weight_average=0.5", "precision=bf16", BATCH)
    whole, resumed = (trainer_of(settings, digits) for _ in range(2))
    for _ in range(3):
        whole.train_iteration()
    state = deepcopy(whole.state())
    resumed.load(deepcopy(state))
    resumed.begin_segment()
    other = trainer_of(tiny("recipe.weight_average=0.5", "precision=fp32", BATCH), digits)
    other.load(state)
    for name, value in whole.weights().items():
        assert torch.equal(other.weights()[name], value), name
    for trainer in (whole, resumed):
        trainer.train_iteration()
    for name, value in whole.weights().items():
        assert torch.equal(resumed.weights()[name], value), name
