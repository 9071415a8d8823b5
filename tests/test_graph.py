"""What of the captured step needs no GPU: it leaves no trace where it cannot capture."""

from collections.abc import Callable

import pytest
import torch

from data.arrays import ImageSet
from training.graph import Captured
from training.settings import Settings
from training.step import Step
from training.trainer import Trainer


def trained(settings: Settings, images: ImageSet, *, captured: bool) -> dict[str, torch.Tensor]:
    """Weights and metric sums after ten steps."""
    trainer = Trainer(settings, images, torch.device("cpu"))
    if captured:
        assert isinstance(trainer.step, Step)
        trainer.step = Captured(trainer.step)
    trainer.start_segment()
    for _ in range(10):
        trainer.train_iteration()
    momentum = {f"momentum {k}": v for k, v in trainer.optimizer.momentum.items()}
    return {**trainer.weights(), **momentum, "sums": trainer.sums}


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
