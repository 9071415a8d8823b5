"""Schedules: pure functions of the iteration."""

import math
from dataclasses import replace
from itertools import accumulate, pairwise

from pydantic import ValidationError

from data.order import iterations_per_epoch
from training.settings.recipe import Phase, Recipe
from training.settings.types import ConfigError

HEAD_POWER = 0.75  # of the learning rate of heads, see `head_rate`
WARMUP_SHARE = 1 / 16  # of a scaled run, at most


def scaled(recipe: Recipe, scale: float, epoch_size: int) -> Recipe:
    """Scale a recipe's schedule: length, milestones, patience and all other lengths are multiplied
    and rounded (half up); warm-up is kept but takes at most a sixteenth of the run. Phases keep
    their shares of the length.

    Whatever determines a single step stays the same, including batch size and learning rate.

    Raises:
        ConfigError: the result is so short that two learning rate drops coincide or a phase
            vanishes.
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
    longest = int(total_iterations(shorter, epoch_size) * WARMUP_SHARE)
    return replace(shorter, warmup_iterations=min(recipe.warmup_iterations, longest))


def total_iterations(recipe: Recipe, epoch_size: int) -> int:
    """Length of the recipe in iterations."""
    return recipe.length * _unit(recipe, epoch_size)


def learning_rate(recipe: Recipe, epoch_size: int, iteration: int, plateaus: int = 0) -> float:
    """Learning rate of an iteration, counted from 0, with constant warm-up (He et al. 2015,
    Section 4.2). In a phase with its own learning rate, the schedule restarts.

        step         times `lr_factor` at every milestone
        plateau      times `lr_factor`, `plateaus` times
        linear       falls every unit; in unit `lr_length` it is `lr_factor` times the initial rate
        polynomial   times (1 - iteration / `lr_length`) to the power of `lr_power`
        exponential  times `lr_factor` every `lr_length` units
    """
    if iteration < recipe.warmup_iterations:
        return recipe.warmup_lr
    phase, begin = phase_at(recipe, epoch_size, iteration)
    lr, schedule = recipe.lr, recipe.schedule
    if phase.lr is None:
        begin = 0
    else:
        lr, schedule = phase.lr, phase.schedule or schedule
    unit, length = _unit(recipe, epoch_size), recipe.lr_length or recipe.length
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
    # A milestone at the start of a phase is already included in the phase's rate.
    drops = sum(iteration >= m * unit > begin for m in recipe.milestones)
    return lr * recipe.lr_factor**drops


def momentum_at(recipe: Recipe, epoch_size: int, iteration: int) -> float:
    """Momentum of an iteration, counted from 0: the phase's, or else a linear ramp from `momentum`
    in the first unit to `momentum_end` in unit `momentum_length`."""
    phase, _ = phase_at(recipe, epoch_size, iteration)
    if phase.momentum is not None:
        return phase.momentum
    if recipe.momentum_end is None:
        return recipe.momentum
    units = iteration // _unit(recipe, epoch_size)
    share = min(units / max(recipe.momentum_length - 1, 1), 1)
    return (1 - share) * recipe.momentum + share * recipe.momentum_end


def auxiliary_at(recipe: Recipe, epoch_size: int, iteration: int) -> float:
    """Weight of the terms of extra outputs in an iteration, counted from 0: `auxiliary`, or a
    linear ramp from it in a phase's first unit to `auxiliary_end` after `auxiliary_length` units.
    """
    phase, begin = phase_at(recipe, epoch_size, iteration)
    start = recipe.auxiliary if phase.auxiliary is None else phase.auxiliary
    if recipe.auxiliary_end is None:
        return start
    units = (iteration - begin) // _unit(recipe, epoch_size)
    share = min(units / recipe.auxiliary_length, 1)
    return (1 - share) * start + share * recipe.auxiliary_end


def head_rate(recipe: Recipe, iteration: int) -> float:
    """Factor on the learning rate of a network's heads in an iteration, counted from 0: Caffe's
    `inv` policy with the power of DSN's code."""
    return recipe.head_lr * (1 + recipe.head_fall * iteration) ** -HEAD_POWER


def phase_at(recipe: Recipe, epoch_size: int, iteration: int) -> tuple[Phase, int]:
    """Phase of an iteration, and its first iteration; a recipe without phases counts as one."""
    unit, end = _unit(recipe, epoch_size), 0
    for phase in recipe.phases:
        begin, end = end, end + phase.length * unit
        if iteration < end:
            return phase, begin
    return Phase(recipe.length), 0


def clears_momentum(recipe: Recipe, epoch_size: int, iteration: int) -> bool:
    """Whether the momentum is cleared before an iteration, counted from 0."""
    phase, begin = phase_at(recipe, epoch_size, iteration)
    if phase.fresh_momentum and iteration == begin:
        return True
    unit = _unit(recipe, epoch_size)
    return recipe.fresh_momentum and iteration in (m * unit for m in recipe.milestones)


def next_evaluation(recipe: Recipe, epoch_size: int, iteration: int, last: int) -> int:
    """The next iteration count above `iteration` with an evaluation.

    Runs are evaluated after every epoch's worth of samples, and at the `last` iteration.
    """
    if recipe.wrap:
        epoch = iteration * recipe.batch // epoch_size + 1
        end = -(-epoch * epoch_size // recipe.batch)
    else:
        per_epoch = iterations_per_epoch(epoch_size, recipe.batch)
        end = (iteration // per_epoch + 1) * per_epoch
    return min(end, last)


def _fitted(phases: tuple[Phase, ...], length: int) -> tuple[Phase, ...]:
    """Scale phases to a total length, keeping their shares up to rounding."""
    ends = list(accumulate(phase.length for phase in phases))
    borders = [0, *(_rounded(end * length / ends[-1]) for end in ends)]
    lengths = [end - begin for begin, end in pairwise(borders)]
    return tuple(replace(p, length=n) for p, n in zip(phases, lengths, strict=True))


def _shorter(length: int, scale: float) -> int:
    """Scale a length; a positive one stays at least 1."""
    return max(_rounded(length * scale), 1) if length else 0


def _rounded(value: float) -> int:
    # Round off floating-point error beyond the ninth digit first: 0.1 * 5 counts as a half.
    return math.floor(round(value, 9) + 0.5)


def _unit(recipe: Recipe, epoch_size: int) -> int:
    return 1 if recipe.unit == "iteration" else iterations_per_epoch(epoch_size, recipe.batch)
