"""The settings of a run: typed, complete, and refused before anything is built where impossible."""

import difflib
import inspect
import types
import typing
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from importlib import import_module
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException


class ConfigError(Exception):
    """A setting is unknown, of a wrong type or impossible; the message names it and the remedy."""


@dataclass(frozen=True)
class Data:
    """Which images, and how they are augmented: see conf/data."""

    name: str
    source: str
    classes: int
    size: int
    pad: int
    flip: bool
    folder: str


@dataclass(frozen=True)
class Recipe:
    """How a paper trains: see conf/recipe for the meaning and source of each value."""

    name: str
    unit: str
    length: int
    milestones: list[int]
    lr: float
    lr_factor: float
    warmup_lr: float
    warmup_iterations: int
    batch: int
    wrap: bool
    momentum: float
    nesterov: bool
    weight_decay: float
    decay: str
    init: str
    mean: str
    std: str
    holdout: int


@dataclass(frozen=True)
class Preset:
    """How much of a recipe is run; `stop` ends it early, in iterations."""

    name: str
    stop: int | None


@dataclass(frozen=True)
class Logger:
    """Where metrics are mirrored."""

    name: str
    project: str | None = None
    entity: str | None = None


@dataclass(frozen=True)
class Settings:
    """Everything that decides a run, and where it is written."""

    seed: int
    device: str
    precision: str
    deterministic: bool
    threads: int | None
    checkpoint_seconds: float
    output_dir: str
    results_dir: str
    data: Data
    model: dict[str, Any]
    recipe: Recipe
    preset: Preset
    logger: Logger

    def science(self) -> dict[str, Any]:
        """The part that decides the numbers: what a checkpoint and a recipe hash must agree on."""
        whole = asdict(self)
        data = {key: value for key, value in whole["data"].items() if key != "folder"}
        kept = ("seed", "precision", "model", "recipe", "preset")
        return {key: whole[key] for key in kept} | {"data": data}


# Keys of the composed configuration that are no setting of a run.
NOT_SETTINGS = ("table", "run", "weights", "hydra")

CHOICES = {
    "precision": ("tf32", "fp32", "bf16"),
    "recipe.unit": ("iteration", "epoch"),
    "recipe.decay": ("weights", "all"),
    "recipe.init": ("fan_in", "fan_out"),
    "recipe.mean": ("pixel", "channel"),
    "recipe.std": ("none", "channel"),
    "logger.name": ("none", "wandb"),
}
# Smallest and largest value that makes sense; None is no bound.
RANGES: dict[str, tuple[float | None, float | None]] = {
    "seed": (0, None),
    "threads": (1, None),
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
    "preset.stop": (1, None),
}


def read_settings(config: DictConfig) -> Settings:
    """Check a composed configuration and return it as settings.

    Raises:
        ConfigError: a key is unknown or missing, a value of the wrong type or impossible.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except (InterpolationResolutionError, OmegaConfBaseException) as error:
        raise ConfigError(str(error).splitlines()[0]) from None
    assert isinstance(plain, dict)
    for key in NOT_SETTINGS:
        plain.pop(key, None)
    settings = _convert(Settings, plain, "")
    _check_values(settings)
    _check_model(settings)
    return settings


def nearest(name: str, names: Iterable[str], count: int = 3) -> str:
    """ "Did you mean ...?" for a name that is not among `names`; empty where none is close."""
    close = difflib.get_close_matches(name, list(names), n=count, cutoff=0.5)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def model_class(model: dict[str, Any]) -> type:
    """The class that `_target_` names.

    Raises:
        ConfigError: there is no such class under models/.
    """
    target = str(model.get("_target_"))
    module, _, name = target.rpartition(".")
    try:
        if not module.startswith("models."):
            raise ImportError
        return getattr(import_module(module), name)
    except (ImportError, AttributeError):
        raise ConfigError(f"model._target_={target}: no such network under models/.") from None


def _convert(kind: Any, value: Any, path: str) -> Any:
    """Turn plain YAML data into `kind`, naming the full key where it does not fit."""
    if is_dataclass(kind):
        return _convert_dataclass(kind, value, path)
    if value == "???":
        raise ConfigError(f"{path} has no value; choose a row with experiment=..., or set it.")
    if typing.get_origin(kind) is types.UnionType:
        inner = next(k for k in typing.get_args(kind) if k is not type(None))
        return None if value is None else _convert(inner, value, path)
    if typing.get_origin(kind) is list and isinstance(value, list):
        return [_convert(typing.get_args(kind)[0], item, path) for item in value]
    plain = typing.get_origin(kind) or kind
    if plain is float and type(value) is int:
        return float(value)
    if plain is not Any and type(value) is not plain:
        raise ConfigError(f"{path}={value!r} should be of type {plain.__name__}.")
    return value


def _convert_dataclass(kind: Any, value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}={value!r} should be a group of settings.")
    known = {field.name: field for field in fields(kind)}
    prefix = f"{path}." if path else ""
    for key in value:
        if key not in known:
            names = [prefix + name for name in known]
            raise ConfigError(f"Unknown setting {prefix}{key}.{nearest(f'{prefix}{key}', names)}")
    for name, field in known.items():
        if name not in value and field.default is MISSING:
            raise ConfigError(f"The setting {prefix}{name} is missing.")
    hints = typing.get_type_hints(kind)
    return kind(**{k: _convert(hints[k], v, prefix + k) for k, v in value.items()})


def _lookup(settings: Settings, key: str) -> Any:
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value


def _check_values(settings: Settings) -> None:
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
    if not recipe.lr > 0:
        raise ConfigError(f"recipe.lr={recipe.lr} is impossible; a learning rate is above 0.")
    if sorted(set(recipe.milestones)) != recipe.milestones or min(recipe.milestones, default=1) < 1:
        raise ConfigError(f"recipe.milestones={recipe.milestones} must rise, and start above 0.")
    if recipe.milestones and recipe.milestones[-1] >= recipe.length:
        raise ConfigError(
            f"recipe.milestones={recipe.milestones} must end before recipe.length={recipe.length}."
        )
    if recipe.nesterov and recipe.momentum == 0:
        raise ConfigError("recipe.nesterov=true needs recipe.momentum above 0.")


def _check_model(settings: Settings) -> None:
    """Build the network without memory, so that every impossible argument is named at once."""
    import torch

    kind = model_class(settings.model)
    arguments = {key: value for key, value in settings.model.items() if key != "_target_"}
    hints = typing.get_type_hints(kind.__init__)  # type: ignore[misc]
    for key, value in arguments.items():
        if key not in hints:
            known = [f"model.{name}" for name in inspect.signature(kind).parameters]
            raise ConfigError(f"Unknown setting model.{key}.{nearest(f'model.{key}', known)}")
        _convert(hints[key], value, f"model.{key}")
    try:
        with torch.device("meta"):
            kind(**arguments)
    except ValueError as error:
        raise ConfigError(f"model.{error}.") from None
    except TypeError as error:
        raise ConfigError(f"model: {error}.") from None
