"""Phases of one run: what each does otherwise, where it begins, and that a run goes on within."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from data.arrays.imageset import ImageSet
from tests.emulated import Emulated
from training.engines.graph import Graphs
from training.recipe.schedules import (
    clears_momentum,
    head_rate,
    learning_rate,
    momentum_at,
    scaled,
    total_iterations,
)
from training.settings.identity import recipe_hash
from training.settings.recipe import Phase, Recipe
from training.settings.settings import Settings
from training.settings.types import ConfigError
from training.trainer import Trainer

CPU = torch.device("cpu")
ROW = "experiment=he2015_residual/table6/resnet20"
IMAGES = 1_000


@pytest.fixture
def recipe(settings_of: Callable[..., Settings]) -> Recipe:
    """Ten iterations an epoch of 1,000 images."""
    full = settings_of(ROW, "recipe=fair").recipe
    return replace(full, batch=100, lr=0.1, lr_factor=0.1, milestones=[], length=20)


def rates(recipe: Recipe, *iterations: int) -> list[float]:
    return [learning_rate(recipe, IMAGES, iteration) for iteration in iterations]


def test_linear_rates_are_those_of_pylearn2(recipe: Recipe) -> None:
    """Its LinearDecayOverEpoch(start=1, saturate=8, decay_factor=0.1), epoch by epoch."""
    recipe = replace(recipe, schedule="linear", lr_length=8)
    step = (0.1 - 0.01) / 8
    expected = [0.1 - step * count if count < 8 else 0.01 for count in range(1, 21)]
    for within in (0, 9):
        found = rates(recipe, *(10 * epoch + within for epoch in range(20)))
        assert found == pytest.approx(expected)


def test_polynomial_and_exponential_rates(recipe: Recipe) -> None:
    """Caffe's `poly`, iteration by iteration; a factor every three epochs."""
    poly = replace(recipe, schedule="polynomial", lr_power=0.5)
    assert rates(poly, 0, 50, 199) == pytest.approx([0.1, 0.1 * 0.75**0.5, 0.1 * 0.005**0.5])
    exponential = replace(recipe, schedule="exponential", lr_factor=0.94, lr_length=3)
    expected = [0.1, 0.1, 0.094, 0.1 * 0.94**6]
    assert rates(exponential, 0, 29, 30, 199) == pytest.approx(expected)


def test_momentum_rises_as_in_pylearn2(recipe: Recipe) -> None:
    """Its MomentumAdjustor(final_momentum=0.65, start=1, saturate=5) from 0.5."""
    recipe = replace(recipe, momentum=0.5, momentum_end=0.65, momentum_length=5, nesterov=False)
    expected = [0.5 + 0.15 * min((count - 1) / 4, 1) for count in range(1, 21)]
    found = [momentum_at(recipe, IMAGES, 10 * epoch + 9) for epoch in range(20)]
    assert found == pytest.approx(expected)


def test_heads_have_a_rate_of_their_own(recipe: Recipe) -> None:
    recipe = replace(recipe, head_lr=0.001, head_fall=1e-4)
    assert head_rate(recipe, 0) == 0.001
    assert head_rate(recipe, 30_000) == pytest.approx(0.001 * 4**-0.75)
    tenth = scaled(recipe, 0.1, IMAGES)
    assert head_rate(tenth, 3_000) == pytest.approx(0.001 * 4**-0.75)
    assert head_rate(tenth, 15_000) == pytest.approx(0.001 * 16**-0.75)


PHASES = (
    Phase(8, momentum=0.5),
    Phase(6, lr=0.02, fresh_momentum=True),
    Phase(6, lr=0.003, schedule="linear"),
)


def test_a_phase_with_a_rate_begins_the_schedule_anew(recipe: Recipe) -> None:
    recipe = replace(recipe, milestones=[2, 8, 10], phases=PHASES, nesterov=False, lr_length=3)
    assert rates(recipe, 0, 19, 20, 79) == pytest.approx([0.1, 0.1, 0.01, 0.01])
    # The drop where the phase begins is in its rate; the next one is counted from there.
    assert rates(recipe, 80, 99, 100, 139) == pytest.approx([0.02, 0.02, 0.002, 0.002])
    assert rates(recipe, 140, 150, 160, 199) == pytest.approx([0.0021, 0.0012, 0.0003, 0.0003])
    assert [momentum_at(recipe, IMAGES, k) for k in (0, 79, 80, 199)] == [0.5, 0.5, 0.9, 0.9]
    assert [k for k in range(200) if clears_momentum(recipe, IMAGES, k)] == [80]


@pytest.mark.parametrize(("unit", "cleared"), [("epoch", [20, 80]), ("iteration", [2, 8])])
def test_momentum_is_cleared_where_the_rate_drops(
    recipe: Recipe, unit: str, cleared: list[int]
) -> None:
    recipe = replace(recipe, unit=unit, milestones=[2, 8], fresh_momentum=True)
    assert [k for k in range(200) if clears_momentum(recipe, IMAGES, k)] == cleared
    found = rates(recipe, *(k + shift for k in cleared for shift in (-1, 0)))
    assert found == pytest.approx([0.1, 0.01, 0.01, 0.001])


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.25])
def test_a_tenth_shortens_every_phase(recipe: Recipe, scale: float) -> None:
    recipe = replace(
        recipe, phases=PHASES, nesterov=False, lr_length=8, momentum_end=0.9, momentum_length=4
    )
    shorter = scaled(recipe, scale, IMAGES)
    expected = {1.0: [8, 6, 6], 0.5: [4, 3, 3], 0.25: [2, 2, 1]}[scale]
    assert [phase.length for phase in shorter.phases] == expected
    assert sum(expected) * 10 == total_iterations(shorter, IMAGES)
    assert (shorter.lr_length, shorter.momentum_length) == (8 * scale, 4 * scale)
    with pytest.raises(ConfigError, match=r"leaves too little of 20 epochs .* recipe\.phases"):
        scaled(recipe, 0.1, IMAGES)


def test_a_preset_with_a_length_of_its_own_gives_each_phase_its_share(
    tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    settings = tiny("recipe.phases=[{length: 5},{length: 3},{length: 2}]")
    trainer = Trainer(settings, digits, CPU)
    assert [phase.length for phase in trainer.recipe.phases] == [15, 9, 6]


def phased(tiny: Callable[..., Settings], **changes: Any) -> Settings:
    settings = tiny(  # a rate so low that updates do not amplify the rounding of some processors
        "recipe.lr=0.02", "recipe.warmup_iterations=0", "data.pad=0", "recipe.length=12",
        "recipe.milestones=[9]", "recipe.batch=16",
    )  # fmt: skip
    changes = {"phases": (
        Phase(4, momentum=0.2, objective="squared_hinge"),
        Phase(3, lr=0.005, fresh_momentum=True),
        Phase(5, momentum=0.6),
    )} | changes  # fmt: skip
    return replace(settings, recipe=replace(settings.recipe, **changes))


@pytest.mark.parametrize("captured", [False, True])
def test_phases_train_as_a_plain_loop_does(
    captured: bool, tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    """Twelve updates written out, and the same from a checkpoint within each phase."""
    settings = phased(tiny)

    def made() -> Trainer:
        return Trainer(settings, digits, CPU, graphs=Emulated() if captured else None)

    trainer = made()
    plain, batches = deepcopy(trainer.model).train(), deepcopy(trainer.batches)
    batches.begin(0, 12)
    saved, velocity = {}, {n: torch.zeros_like(p) for n, p in plain.named_parameters()}
    trainer.begin_segment()
    for iteration in range(12):
        if iteration in (2, 4, 6, 7, 10):
            saved[iteration] = deepcopy(trainer.state())
        trainer.train_iteration()
        x, y = batches.next(16)
        plain.zero_grad()
        outputs = plain(x)
        if iteration < 4:
            signs = 2.0 * F.one_hot(y, 10) - 1
            (1 - signs * outputs).clamp(min=0).pow(2).sum(1).mean().backward()
        else:
            F.cross_entropy(outputs, y).backward()
        lr = 0.005 if 4 <= iteration < 7 else 0.002 if iteration >= 9 else 0.02
        momentum = 0.2 if iteration < 4 else 0.6 if iteration >= 7 else 0.9
        with torch.no_grad():
            for name, p in plain.named_parameters():
                if iteration == 4:
                    velocity[name].zero_()
                decay = 1e-4 if p.ndim > 1 else 0
                assert p.grad is not None
                velocity[name] = momentum * velocity[name] + p.grad + decay * p
                p.sub_(lr * velocity[name])
        for name, p in plain.named_parameters():
            found = trainer.optimizer.master[name]
            torch.testing.assert_close(
                found, p.detach(), rtol=1e-3, atol=1e-4, msg=f"{iteration} {name}"
            )
    for iteration, state in saved.items():
        resumed = made()
        resumed.load(state)
        resumed.begin_segment()
        while resumed.iteration < 12:
            resumed.train_iteration()
        for name, tensor in trainer.weights().items():
            assert torch.equal(resumed.weights()[name], tensor), f"from {iteration}: {name}"


def test_a_phase_drops_what_it_says(tiny: Callable[..., Settings], digits: ImageSet) -> None:
    tail = ["model=densenet", "model.depth=7", "model.growth=4", "model.dropout=0.2"]
    bare = tiny(*tail, "recipe.length=4", "recipe.milestones=[]")
    count = len(Trainer(bare, digits, CPU).dropout)
    assert count == 5
    phases = (
        Phase(2),
        Phase(1, dropout=(0.0,) * count),
        Phase(1, dropout=(0.9,) + (0.0,) * (count - 1)),
    )
    settings = replace(bare, recipe=replace(bare.recipe, phases=phases))
    trainer = Trainer(settings, digits, CPU)
    trainer.begin_segment()
    seen = []
    for _ in range(4):
        trainer.train_iteration()
        seen.append([m.p for m in trainer.model.modules() if isinstance(m, torch.nn.Dropout)])
    rates, off = [0.2] * count, [0.0] * count
    assert seen == [rates, rates, off, [0.9, *off[1:]]]


@pytest.mark.parametrize("graphs", [None, Emulated()], ids=["called", "replayed"])
def test_weights_never_exceed_their_norms(
    graphs: Graphs | None, tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    """After twenty steps, output by output; what is shorter is left as an update makes it."""
    settings = tiny("recipe.length=25", "recipe.milestones=[]", "recipe.weight_decay=0")
    free = Trainer(settings, digits, CPU)
    weights = [n for n, p in free.model.named_parameters() if p.ndim > 1]
    limits = tuple(0.5 + 0.1 * k for k in range(len(weights)))
    bounded = replace(settings, recipe=replace(settings.recipe, max_norms=limits))
    bound = Trainer(bounded, digits, CPU, graphs=graphs)
    for trainer in (free, bound):
        trainer.begin_segment()
    before = {n: bound.optimizer.master[n].clone() for n in weights}
    for iteration in range(20):
        bound.train_iteration()
        if iteration == 0:
            free.train_iteration()
            for name, limit in zip(weights, limits, strict=True):
                moved, found = free.optimizer.master[name], bound.optimizer.master[name]
                norms = moved.flatten(1).norm(dim=1)
                assert not torch.equal(moved, before[name])
                expected = moved / (norms / limit).clamp(min=1).view(-1, *[1] * (moved.ndim - 1))
                torch.testing.assert_close(found, expected)
        for name, limit in zip(weights, limits, strict=True):
            norms = bound.optimizer.master[name].flatten(1).norm(dim=1)
            assert float(norms.max()) <= limit * (1 + 1e-5), (iteration, name)
    assert any(float(free.optimizer.master[n].flatten(1).norm(dim=1).max()) > k
               for n, k in zip(weights, limits, strict=True))  # fmt: skip


def test_phases_are_part_of_what_a_run_is(tiny: Callable[..., Settings]) -> None:
    one, other = phased(tiny), phased(tiny, phases=(Phase(4), Phase(8)))
    assert len({recipe_hash(tiny()), recipe_hash(one), recipe_hash(other)}) == 3
