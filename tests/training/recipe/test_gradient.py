"""The recorded gradient of the first convolution against what autograd hands out."""

from collections.abc import Callable

import pytest
import torch

from data.arrays.imageset import ImageSet
from training.settings.settings import Settings
from training.trainer import Trainer


@pytest.mark.parametrize("overrides", [[], ["model.survival=0.5"], ["precision=bf16"]], ids=str)
def test_the_mean_over_steps_is_that_of_autograd(
    overrides: list[str], tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    trainer = Trainer(tiny(*overrides), digits, torch.device("cpu"))
    weight = dict(trainer.model.named_parameters())["stem.conv1.weight"]
    found = []

    def collect(parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        found.append(float(parameter.grad.abs().double().mean()))

    weight.register_post_accumulate_grad_hook(collect)
    trainer.begin_segment()
    for _ in range(5):
        trainer.train_iteration()
    assert len(found) == 5 and min(found) > 0
    assert trainer.gradient.take() == pytest.approx(sum(found) / 5, rel=1e-5)
    trainer.train_iteration()
    assert trainer.gradient.take() == pytest.approx(found[5], rel=1e-5)


def test_it_goes_on_from_a_checkpoint(tiny: Callable[..., Settings], digits: ImageSet) -> None:
    whole, resumed = (Trainer(tiny(), digits, torch.device("cpu")) for _ in range(2))
    whole.begin_segment()
    for _ in range(3):
        whole.train_iteration()
    resumed.load(whole.state())
    resumed.begin_segment()
    for trainer in (whole, resumed):
        trainer.train_iteration()
    assert whole.gradient.take() == resumed.gradient.take()
