"""Schedules as pure functions of the iteration."""

import math
from dataclasses import replace

from pydantic import ValidationError

from data.order import iterations_per_epoch
from training.settings.settings import ConfigError, Recipe

WARMUP_SHARE = 16  # a scaled run warms up for at most one part in this many


def scaled(recipe: Recipe, scale: float, images: int) -> Recipe:
    """A recipe with its schedule at a scale: length, milestones and patience multiplied and
    rounded (halves up), warm-up as it is but at most a sixteenth of the run.

    What decides a step, batch size and learning rate among them, stays.

    Raises:
        ConfigError: so little is left that two drops of the learning rate coincide.
    """
    if scale == 1:
        return recipe
    try:
        shorter = replace(
            recipe,
            length=_rounded(recipe.length * scale),
            milestones=[_rounded(m * scale) for m in recipe.milestones],
            patience=_rounded(recipe.patience * scale),
        )
    except ValidationError:
        raise ConfigError(
            f"preset.scale={scale:g} leaves too little of {recipe.length} {recipe.unit}s with "
            f"recipe.milestones={recipe.milestones}."
        ) from None
    longest = total_iterations(shorter, images) // WARMUP_SHARE
    return replace(shorter, warmup_iterations=min(recipe.warmup_iterations, longest))


def total_iterations(recipe: Recipe, images: int) -> int:
    """Length of the full recipe in iterations."""
    return recipe.length * _unit(recipe, images)


def learning_rate(recipe: Recipe, images: int, iteration: int, plateaus: int = 0) -> float:
    """Learning rate of an iteration, counted from 0.

    Step schedule with constant warm-up: He et al. 2015, Section 4.2. With `schedule: plateau` the
    rate has dropped `plateaus` times instead of at the milestones.
    """
    if iteration < recipe.warmup_iterations:
        return recipe.warmup_lr
    drops = sum(iteration >= m * _unit(recipe, images) for m in recipe.milestones)
    if recipe.schedule == "plateau":
        drops = plateaus
    return recipe.lr * recipe.lr_factor**drops


def drops_at(recipe: Recipe, images: int, iteration: int) -> bool:
    """Whether the learning rate drops before an iteration, counted from 0."""
    return iteration in (m * _unit(recipe, images) for m in recipe.milestones)


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


def _rounded(value: float) -> int:
    # Beyond the ninth digit is only what binary fractions add: 0.1 * 5 is a half.
    return math.floor(round(value, 9) + 0.5)


def _unit(recipe: Recipe, images: int) -> int:
    return 1 if recipe.unit == "iteration" else iterations_per_epoch(images, recipe.batch)
