"""The captured step against the eager one; needs a CUDA GPU."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch

from data.arrays import ImageSet
from training.graph import CapturedStep
from training.settings import Settings
from training.trainer import Trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU"),
]


def trained(settings: Settings, images: ImageSet, *, eager: bool) -> tuple[list[float], Trainer]:
    """The loss of every step, and the trainer after the last."""
    trainer = Trainer(settings, images, torch.device("cuda"))
    assert isinstance(trainer.step, CapturedStep)
    trainer.step.eager = eager
    losses = []
    while trainer.iteration < trainer.last:
        end = trainer.next_evaluation()
        trainer.start_segment()
        while trainer.iteration < end:
            trainer.train_iteration()
            losses.append(trainer.take_training_metrics()[0])
    assert trainer.step.eager == eager, "the step could not be captured"
    return losses, trainer


KINDS = [
    ["recipe=he2015"],
    ["recipe=fair"],
    ["model.shortcut=dropout"],
    ["model.shortcut=exclusive_gate", "model.gate_bias=-2.0"],
    ["model.unit=bottleneck", "model.depth=11", "model.match=project", "model.order=full_preact"],
]


@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
def test_captured_and_eager_steps_are_bit_equal_in_fp32(
    kind: list[str], tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    settings = tiny(
        "precision=fp32", "data.pad=2", "data.flip=true",
        "recipe.length=60", "recipe.milestones=[20,40]", "recipe.wrap=false", *kind,
    )  # fmt: skip
    eager, one = trained(settings, digits, eager=True)
    captured, other = trained(settings, digits, eager=False)
    assert captured == eager
    assert set(other.step.graphs) == {64, 1500 % 64}  # type: ignore[union-attr]
    for a, b in zip(one.model.state_dict().values(), other.model.state_dict().values(),
                    strict=True):  # fmt: skip
        assert torch.equal(a, b)


def test_a_resumed_run_drops_its_learning_rate(
    tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    """Saved by a CPU or a GPU, the captured step reads the rate from its own tensor."""
    settings = tiny("precision=fp32", "recipe.length=60", "recipe.milestones=[20,40]")
    for device in ("cuda", "cpu"):
        saved = Trainer(settings, digits, torch.device(device))
        saved.start_segment()
        for _ in range(19):
            saved.train_iteration()
        resumed = Trainer(settings, digits, torch.device("cuda"))
        resumed.load(deepcopy(saved.state()))
        resumed.start_segment()
        moved = []
        for _ in range(2):  # the last step before the drop, and the first after it
            before = resumed.model.classifier.bias.detach().clone()
            resumed.train_iteration()
            moved.append(float((resumed.model.classifier.bias - before).norm()))
        assert moved[1] < 0.3 * moved[0]


def test_stochastic_depth_runs_eagerly(tiny: Callable[..., Settings], digits: ImageSet) -> None:
    trainer = Trainer(tiny("model.survival=0.5"), digits, torch.device("cuda"))
    assert not isinstance(trainer.step, CapturedStep)
    trainer.start_segment()
    for _ in range(3):
        trainer.train_iteration()
    assert trainer.take_training_metrics()[0] > 0


def test_bf16_stays_near_fp32(tiny: Callable[..., Settings], digits: ImageSet) -> None:
    full = trained(tiny("precision=fp32"), digits, eager=False)[0]
    half = trained(tiny("precision=bf16"), digits, eager=False)[0]
    assert half[0] == pytest.approx(full[0], rel=0.02)
    assert sum(half[-10:]) == pytest.approx(sum(full[-10:]), rel=0.5, abs=0.5)
