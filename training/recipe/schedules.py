"""Schedules as pure functions of the iteration."""

from data.order import iterations_per_epoch
from training.settings.settings import Recipe


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


def _unit(recipe: Recipe, images: int) -> int:
    return 1 if recipe.unit == "iteration" else iterations_per_epoch(images, recipe.batch)
