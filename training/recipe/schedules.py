"""Schedules as pure functions of the iteration."""

import math
from dataclasses import replace
from itertools import accumulate, pairwise

from pydantic import ValidationError

from data.order import iterations_per_epoch
from training.settings.recipe import Phase, Recipe
from training.settings.types import ConfigError

HEAD_POWER = 0.75
WARMUP_SHARE = 16  # a scaled run warms up for at most one part in this many


def scaled(recipe: Recipe, scale: float, images: int) -> Recipe:
    """A recipe with its schedule at a scale: length, milestones, patience and what else is told in
    its unit multiplied and rounded (halves up), warm-up as it is but at most a sixteenth of the
    run. Phases share the length as they share theirs.

    What decides a step, batch size and learning rate among them, stays.

    Raises:
        ConfigError: so little is left that two drops of the learning rate coincide, or nothing of a
            phase.
    """
    try:
        recipe = replace(recipe, phases=_fitted(recipe.phases, _rounded(recipe.length * scale)))
        if scale == 1:
            return recipe
        shorter = replace(
            recipe,
            length=_rounded(recipe.length * scale),
            milestones=[_rounded(m * scale) for m in recipe.milestones],
            patience=_rounded(recipe.patience * scale),
            lr_length=_shorter(recipe.lr_length, scale),
            momentum_length=_shorter(recipe.momentum_length, scale),
            auxiliary_length=_shorter(recipe.auxiliary_length, scale),
            head_fall=min(recipe.head_fall / scale, 1),
        )
    except ValidationError:
        raise ConfigError(
            f"preset.scale={scale:g} leaves too little of {recipe.length} {recipe.unit}s with "
            f"recipe.milestones={recipe.milestones}"
            f"{' and recipe.phases' * bool(recipe.phases)}."
        ) from None
    longest = total_iterations(shorter, images) // WARMUP_SHARE
    return replace(shorter, warmup_iterations=min(recipe.warmup_iterations, longest))


def total_iterations(recipe: Recipe, images: int) -> int:
    """Length of the full recipe in iterations."""
    return recipe.length * _unit(recipe, images)


def learning_rate(recipe: Recipe, images: int, iteration: int, plateaus: int = 0) -> float:
    """Learning rate of an iteration, counted from 0, after a constant warm-up (He et al. 2015,
    Section 4.2). In a phase with a rate of its own the schedule begins anew.

        step         `lr_factor` at every milestone
        plateau      `lr_factor` `plateaus` times
        linear       falls in every unit; in the `lr_length`-th one it is `lr_factor` of what it was
        polynomial   (1 - iteration / `lr_length`) to the power of `lr_power`
        exponential  `lr_factor` every `lr_length` units
    """
    if iteration < recipe.warmup_iterations:
        return recipe.warmup_lr
    phase, begin = phase_at(recipe, images, iteration)
    lr, schedule = recipe.lr, recipe.schedule
    if phase.lr is None:
        begin = 0
    else:
        lr, schedule = phase.lr, phase.schedule or schedule
    unit, length = _unit(recipe, images), recipe.lr_length or recipe.length
    units = (iteration - begin) // unit
    match schedule:
        case "plateau":
            return lr * recipe.lr_factor**plateaus
        case "linear":
            return lr * (1 - (1 - recipe.lr_factor) * min((units + 1) / length, 1))
        case "polynomial":
            return lr * max(1 - (iteration - begin) / (length * unit), 0) ** recipe.lr_power
        case "exponential":
            return lr * recipe.lr_factor ** (units // length)
    # One at which a phase begins is in the rate that the phase begins with.
    drops = sum(iteration >= m * unit > begin for m in recipe.milestones)
    return lr * recipe.lr_factor**drops


def momentum_at(recipe: Recipe, images: int, iteration: int) -> float:
    """Momentum of an iteration, counted from 0: the phase's, or a ramp from `momentum` in the first
    unit to `momentum_end` in the `momentum_length`-th one."""
    phase, _ = phase_at(recipe, images, iteration)
    if phase.momentum is not None:
        return phase.momentum
    if recipe.momentum_end is None:
        return recipe.momentum
    units = iteration // _unit(recipe, images)
    share = min(units / max(recipe.momentum_length - 1, 1), 1)
    return (1 - share) * recipe.momentum + share * recipe.momentum_end


def auxiliary_at(recipe: Recipe, images: int, iteration: int) -> float:
    """What the terms of extra outputs count in an iteration, counted from 0: `auxiliary`, or on a
    line from there in a phase's first unit to `auxiliary_end` after `auxiliary_length` units."""
    phase, begin = phase_at(recipe, images, iteration)
    start = recipe.auxiliary if phase.auxiliary is None else phase.auxiliary
    if recipe.auxiliary_end is None:
        return start
    units = (iteration - begin) // _unit(recipe, images)
    share = min(units / recipe.auxiliary_length, 1)
    return (1 - share) * start + share * recipe.auxiliary_end


def head_rate(recipe: Recipe, iteration: int) -> float:
    """What the rate of a network's heads is multiplied by in an iteration, counted from 0: Caffe's
    `inv` with the power of DSN's code."""
    return recipe.head_lr * (1 + recipe.head_fall * iteration) ** -HEAD_POWER


def phase_at(recipe: Recipe, images: int, iteration: int) -> tuple[Phase, int]:
    """The phase of an iteration, and the iteration it begins with; the recipe's whole run as one
    where it has none."""
    unit, end = _unit(recipe, images), 0
    for phase in recipe.phases:
        begin, end = end, end + phase.length * unit
        if iteration < end:
            return phase, begin
    return Phase(recipe.length), 0


def clears_momentum(recipe: Recipe, images: int, iteration: int) -> bool:
    """Whether the momentum is cleared before an iteration, counted from 0."""
    phase, begin = phase_at(recipe, images, iteration)
    if phase.fresh_momentum and iteration == begin:
        return True
    unit = _unit(recipe, images)
    return recipe.fresh_momentum and iteration in (m * unit for m in recipe.milestones)


def next_evaluation(recipe: Recipe, images: int, iteration: int, last: int) -> int:
    """The first iteration count above `iteration` at which is evaluated.

    That is when another epoch's worth of samples has been used, and at the `last` iteration.
    """
    if recipe.wrap:
        epoch = iteration * recipe.batch // images + 1
        end = -(-epoch * images // recipe.batch)
    else:
        per_epoch = iterations_per_epoch(images, recipe.batch)
        end = (iteration // per_epoch + 1) * per_epoch
    return min(end, last)


def _fitted(phases: tuple[Phase, ...], length: int) -> tuple[Phase, ...]:
    """Phases that add up to a length, with the borders where they were in shares."""
    ends = list(accumulate(phase.length for phase in phases))
    borders = [0, *(_rounded(end * length / ends[-1]) for end in ends)]
    lengths = [end - begin for begin, end in pairwise(borders)]
    return tuple(replace(p, length=n) for p, n in zip(phases, lengths, strict=True))


def _shorter(length: int, scale: float) -> int:
    """A length at a scale; of what there is, something is left."""
    return max(_rounded(length * scale), 1) if length else 0


def _rounded(value: float) -> int:
    # Beyond the ninth digit is only what binary fractions add: 0.1 * 5 is a half.
    return math.floor(round(value, 9) + 0.5)


def _unit(recipe: Recipe, images: int) -> int:
    return 1 if recipe.unit == "iteration" else iterations_per_epoch(images, recipe.batch)
