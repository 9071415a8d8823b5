"""What a setting may be, refused before anything is built."""

import inspect
import math
import re
import typing
from typing import Any

from data.colour import KINDS
from training.engine import ENGINES
from training.network import model_arguments, model_class, outline
from training.settings import ConfigError, Settings
from training.typed import convert, nearest

CHOICES = {
    "precision": ("tf32", "fp32", "bf16"),
    "engine": ENGINES,
    "recipe.schedule": ("step", "plateau"),
    "recipe.unit": ("iteration", "epoch"),
    "recipe.decay": ("weights", "all"),
    "recipe.init": ("fan_in", "fan_out"),
    "recipe.mean": ("none", "pixel", "channel"),
    "recipe.crop": ("pad", "scale", "aspect"),
    "recipe.colour": KINDS,
    "damaged": ("stop", "skip"),
    "decoder": ("cpu", "nvjpeg"),
    "recipe.std": ("none", "channel", "global", "255"),
    "logger.name": ("none", "wandb"),
}
# Smallest and largest value that makes sense; None is no bound.
RANGES: dict[str, tuple[float | None, float | None]] = {
    "seed": (0, 2**63 - 1),
    "threads": (1, None),
    "workers": (0, None),
    "checkpoint_seconds": (0, None),
    "data.pad": (0, None),
    "recipe.length": (1, None),
    "recipe.warmup_lr": (0, None),
    "recipe.warmup_iterations": (0, None),
    "recipe.batch": (2, None),
    "recipe.momentum": (0, 1),
    "recipe.lr_factor": (0, 1),
    "recipe.weight_decay": (0, 1),
    "recipe.holdout": (0, None),
    "recipe.dropout": (0, 0.99),
    "recipe.patience": (0, None),
    "recipe.statistics_batches": (0, None),
    "preset.stop": (1, None),
}
IMAGENET_SIZE = 64


def check_values(settings: Settings) -> None:
    """Refuse values that no run can have.

    Raises:
        ConfigError: one is; the message names it.
    """
    for key, choices in CHOICES.items():
        value = _lookup(settings, key)
        if value not in choices:
            raise ConfigError(f"{key}={value} is unknown; choose one of {', '.join(choices)}.")
    for key, (low, high) in RANGES.items():
        value = _lookup(settings, key)
        if value is None:
            continue
        if not ((low is None or value >= low) and (high is None or value <= high)):
            bounds = f"between {low} and {high}" if high is not None else f"{low} or more"
            raise ConfigError(f"{key}={value} is impossible; it must be {bounds}.")
    recipe = settings.recipe
    for key in ("data.name", "preset.name"):
        if not re.fullmatch(r"\w+", str(_lookup(settings, key))):
            raise ConfigError(f"{key}={_lookup(settings, key)} is no plain name.")
    if not (recipe.lr > 0 and math.isfinite(recipe.lr)):
        raise ConfigError(f"recipe.lr={recipe.lr} is impossible; a learning rate is above 0.")
    if sorted(set(recipe.milestones)) != recipe.milestones or min(recipe.milestones, default=1) < 1:
        raise ConfigError(f"recipe.milestones={recipe.milestones} must rise, and start above 0.")
    if recipe.milestones and recipe.milestones[-1] >= recipe.length:
        raise ConfigError(
            f"recipe.milestones={recipe.milestones} must end before recipe.length={recipe.length}."
        )
    if recipe.nesterov and recipe.momentum == 0:
        raise ConfigError("recipe.nesterov=true needs recipe.momentum above 0.")


def check_model(settings: Settings) -> None:
    """Build the network without memory, so that an impossible argument is named at once.

    Raises:
        ConfigError: an argument is unknown, of a wrong type or impossible.
    """
    kind = model_class(settings.model)
    arguments = model_arguments(settings.model)
    hints = typing.get_type_hints(kind.__init__)  # type: ignore[misc]
    for key, value in arguments.items():
        if key not in hints:
            known = [f"model.{name}" for name in inspect.signature(kind).parameters]
            raise ConfigError(f"Unknown setting model.{key}.{nearest(f'model.{key}', known)}")
        settings.model[key] = convert(hints[key], value, f"model.{key}")
    arguments = model_arguments(settings.model)
    if arguments.get("images") == "imagenet" and settings.data.size < IMAGENET_SIZE:
        raise ConfigError(
            f"data.size={settings.data.size} is too small for model.images=imagenet, which halves "
            f"it five times; {IMAGENET_SIZE} is the least (these rows have no small preset)."
        )
    if arguments.get("classes", settings.data.classes) != settings.data.classes:
        classes = f"model.classes={arguments['classes']}"
        raise ConfigError(f"{classes}, but data.classes={settings.data.classes}.")
    try:
        outline(settings.model)
    except ValueError as error:
        raise ConfigError(f"model.{error}.") from None
    except TypeError as error:
        raise ConfigError(f"model: {error}.") from None


def _lookup(settings: Settings, key: str) -> Any:
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value
