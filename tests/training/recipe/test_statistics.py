"""Statistics of normalisation taken anew after training, against their definition."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from data.arrays.imageset import ImageSet
from tests.training.runs.test_replicas import OVERRIDES, result, torchrun
from training.recipe.statistics import averaged_statistics
from training.settings.network import build_model
from training.settings.settings import Settings
from training.trainer import Trainer

COUNT = 50  # of batches: more than an epoch of the digits has


def reference(
    model: nn.Module, trainer: Trainer, shares: Callable[[int], list[slice]]
) -> dict[str, Tensor]:
    """Mean over batches, and shares of them, of what each normalisation is given in training."""
    found: dict[str, list[Tensor]] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[Tensor]) -> None:
            x = inputs[0].detach().double().transpose(0, 1).flatten(1)
            found.setdefault(f"{name}.running_mean", []).append(x.mean(1))
            found.setdefault(f"{name}.running_var", []).append(x.var(1))

        return hook

    for name, layer in model.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_pre_hook(note(name))
    model.train()
    batches, first = trainer.batches, trainer.last
    for iteration in range(first, first + COUNT):
        batches.begin(iteration, iteration + 1)
        size = batches.size(iteration)
        images = batches.next(size)[0]
        for share in shares(size):
            with torch.no_grad():
                model(images[share])
    return {name: torch.stack(values).mean(0) for name, values in found.items()}


def agree(weights: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert expected
    for name, value in expected.items():
        assert torch.allclose(weights[name].double(), value, rtol=1e-3, atol=1e-4), name


@pytest.mark.parametrize("engine", ["eager", pytest.param("fused", marks=pytest.mark.slow)])
def test_statistics_are_means_over_batches(
    engine: str, settings_of: Callable[..., Settings], digits: ImageSet
) -> None:
    settings = settings_of(
        *OVERRIDES, "recipe.length=2", "recipe.milestones=[1]", f"recipe.statistics_batches={COUNT}"
    )
    trainer = Trainer(settings, digits, torch.device("cpu"))
    if engine == "fused":
        pytest.importorskip("triton", reason="no Triton")
        from training.engines.fused_residual import fuse

        fuse(trainer.model)
    trainer.begin_segment()
    trainer.train_iteration()
    moving = [buffer.clone() for buffer in trainer.model.buffers()]
    trainer.end_segment()  # which is not the last one
    assert all(map(torch.equal, moving, trainer.model.buffers()))
    trainer.train_iteration()
    trained = {name: value.clone() for name, value in trainer.weights().items()}
    trainer.end_segment()
    model = build_model(settings)
    model.load_state_dict(trained, strict=False)
    agree(trainer.weights(), reference(model, trainer, lambda size: [slice(size)]))
    for name, value in trainer.weights().items():  # and nothing else has changed
        assert "running" in name or torch.equal(value, trained[name]), name


class Drawing(nn.Module):
    """Normalises its images, and notes what it draws, as dropout would."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drawn = nn.BatchNorm2d(3), list[float]()

    def forward(self, x: Tensor) -> Tensor:
        self.drawn.append(float(torch.rand(())))
        return self.norm(x)


def test_what_is_dropped_depends_on_seed_and_iteration(tiny: Callable[..., Settings]) -> None:
    settings, images = tiny(), torch.randn(4, 3, 2, 2)
    batches: Any = SimpleNamespace(
        mean=torch.zeros(3), count=1_500, begin=lambda *_: None, size=lambda _: 4,
        fetch=lambda _: None, next=lambda _: (images, None),
    )  # fmt: skip
    drawn = []
    for seed, first in ((0, 30), (0, 30), (0, 60), (1, 30)):
        recipe = replace(settings.recipe, statistics_batches=2)
        model = Drawing()
        averaged_statistics(replace(settings, recipe=recipe, seed=seed), model, batches, first)
        drawn.append(tuple(model.drawn))
    assert drawn[0] == drawn[1] and len(set(drawn)) == 3 and len(drawn[0]) == 2


@pytest.mark.slow
def test_two_processes_average_over_both_shares(
    settings_of: Callable[..., Settings], digits: ImageSet, tmp_path: Path
) -> None:
    overrides = ["recipe.length=2", "recipe.milestones=[1]", f"recipe.statistics_batches={COUNT}"]
    process = torchrun(tmp_path, *OVERRIDES, *overrides)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    rows, weights, _ = result(tmp_path)
    settings = settings_of(*OVERRIDES, *overrides)
    trainer = Trainer(settings, digits, torch.device("cpu"))
    model = build_model(settings)
    model.load_state_dict(weights, strict=False)
    expected = reference(model, trainer, lambda size: [slice(size // 2), slice(size // 2, size)])
    # The exported weights are rounded to half precision.
    for name, value in expected.items():
        assert torch.allclose(weights[name].double(), value, rtol=0.02, atol=2e-3), name
    model.load_state_dict(weights, strict=False)
    trainer.load({**trainer.state(), "model": model.state_dict()})
    assert trainer.evaluate("test")[1] == pytest.approx(float(rows[-1]["test_error"]), abs=0.5)
