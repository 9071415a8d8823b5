"""What of the captured step needs no GPU: it leaves no trace where it cannot capture."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from data.arrays.imageset import ImageSet
from training.engines.gates import Gates
from training.engines.graph import Captured
from training.recipe.step import Step
from training.settings.settings import Settings
from training.trainer import Trainer


def trained(settings: Settings, images: ImageSet, *, captured: bool) -> dict[str, torch.Tensor]:
    """Weights and metric sums after ten steps."""
    trainer = Trainer(settings, images, torch.device("cpu"))
    if captured:
        assert isinstance(trainer.step, Step)
        trainer.step = Captured(trainer.step)
    trainer.begin_segment()
    for _ in range(10):
        trainer.train_iteration()
    momentum = {f"momentum {k}": v for k, v in trainer.optimizer.momentum.items()}
    return {**trainer.weights(), **momentum, "sums": trainer.metrics.sums}


def test_a_step_that_cannot_be_captured_runs_eagerly_with_equal_results(
    tiny: Callable[..., Settings],
    digits: ImageSet,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def warm_up_and_fail(self: Captured, size: int, saved: list[torch.Tensor]) -> None:
        for _ in range(3):
            self.step(size)
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(Captured, "capture", warm_up_and_fail)
    expected = trained(tiny(), digits, captured=False)
    found = trained(tiny(), digits, captured=True)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    assert capsys.readouterr().err.count("runs eagerly") == 1


class NoSynchronisation(TorchDispatchMode):
    """Refuses what makes the host wait for a value or a size from the device."""

    WAITING = (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero)

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: tuple = (), keywords: Any = None
    ) -> Any:
        assert function.overloadpacket not in self.WAITING, f"{function} makes the host wait"
        return function(*arguments, **(keywords or {}))


@pytest.mark.parametrize("overrides", [[], ["recipe=fair"], ["model.survival=0.5"]], ids=str)
def test_a_step_never_waits_for_the_device(
    overrides: list[str], tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    """Such a step cannot be captured; on a CPU waiting would go unnoticed."""
    trainer = Trainer(tiny(*overrides), digits, torch.device("cpu"))
    assert isinstance(trainer.step, Step)
    if overrides == ["model.survival=0.5"]:
        trainer.gates = [Gates(trainer.model, seed=0, longest=40)]
        trainer.step.hooks = [*trainer.gates, *trainer.step.hooks]
    trainer.begin_segment()
    with NoSynchronisation():
        trainer.step(64)
        trainer.step(64)
    evaluation = trainer.evaluations["test"]
    evaluation.start()
    with NoSynchronisation():
        evaluation(evaluation.sizes()[0])
    with pytest.raises(AssertionError, match="makes the host wait"), NoSynchronisation():
        # An index of no dimension is read by the host.
        _ = trainer.metrics.sums[trainer.batches.position]
