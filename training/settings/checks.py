"""Turn plain values into settings, with error messages that name the setting."""

import inspect
import json
import math
import re
import typing
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from torch import nn

from models.fitnet import FitNet
from records import words
from training.settings.network import dropouts, model_arguments, model_class, outline
from training.settings.settings import Data, Settings
from training.settings.types import STRICT, ConfigError

IMAGENET_SIZE = 64
# Bounds on a network's integers: beyond what anyone trains, yet built without memory in seconds.
LARGEST = {"depth": 5_000, "classes": 100_000}
LARGE = 10_000
WEIGHED = (nn.Conv2d, nn.Linear)
OF_STUDENTS = ("hints", "distillation")
# Our settings by the names that other projects give them.
SYNONYMS = {
    "learning_rate": "recipe.lr", "lr": "recipe.lr", "epochs": "recipe.length",
    "iterations": "recipe.length", "steps": "recipe.length", "batch_size": "recipe.batch",
    "bs": "recipe.batch", "wd": "recipe.weight_decay", "scheduler": "recipe.schedule",
    "gamma": "recipe.lr_factor", "augmentation": "recipe.crop", "color": "recipe.colour",
    "validation": "recipe.holdout", "drop_rate": "recipe.dropout", "layers": "model.depth",
    "growth_rate": "model.growth", "survival_prob": "model.survival", "num_classes": "data.classes",
    "dataset": "data", "arch": "experiment", "row": "experiment", "seeds": "seed",
    "gpu": "device", "gpus": "device", "num_workers": "workers", "amp": "precision",
    "dtype": "precision", "wandb": "logger", "optimizer": "recipe.rule", "optim": "recipe.rule",
    "data_dir": "data.folder", "root": "data.folder",
    "warmup": "recipe.warmup_iterations", "label_smoothing": "recipe.smoothing",
}  # fmt: skip
T = TypeVar("T")


def checked(plain: dict[str, Any]) -> Settings:
    """Check plain YAML data and return it as settings.

    Raises:
        ConfigError: a key is unknown or missing, or a value has the wrong type or is impossible.
    """
    settings = typed(Settings, plain)
    settings = replace(settings, model=checked_model(settings.model, settings.data))
    check_layers(settings)
    return settings


def typed(kind: type[T], plain: dict[str, Any]) -> T:
    """Convert plain data to one of the dataclasses of `training.settings.settings`.

    Raises:
        ConfigError: a key is unknown or missing, or a value has the wrong type or is impossible.
    """
    try:
        # As JSON, because strict mode accepts no dictionary for a nested dataclass.
        return TypeAdapter(kind).validate_json(json.dumps(plain))
    except ValidationError as error:
        raise ConfigError(_explained(error.errors()[0], "")) from None


def checked_model(model: dict[str, Any], data: Data) -> dict[str, Any]:
    """Check a network's arguments by building it without memory; return its checked config.

    Raises:
        ConfigError: an argument is unknown, of the wrong type or impossible, or does not fit the
            data.
    """
    kind, arguments = model_class(model), model_arguments(model)
    hints = typing.get_type_hints(kind.__init__)  # type: ignore[misc]
    for key, value in arguments.items():
        if key not in hints:
            known = [f"model.{name}" for name in inspect.signature(kind).parameters]
            raise ConfigError(f"Unknown setting model.{key}.{nearest(f'model.{key}', known)}")
        try:
            arguments[key] = TypeAdapter(hints[key], config=STRICT).validate_python(value)
        except ValidationError as error:
            raise ConfigError(_explained(error.errors()[0], f"model.{key}")) from None
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"model.{key}={value} is not a finite number.")
        most = LARGEST.get(key, LARGE)
        if isinstance(value, int) and abs(value) > most:
            raise ConfigError(f"model.{key}={value} is beyond {most:,}, the largest that is built.")
    if arguments.get("images") == "imagenet" and data.size < IMAGENET_SIZE:
        raise ConfigError(
            f"data.size={data.size} is too small for model.images=imagenet, which halves "
            f"it five times; {IMAGENET_SIZE} is the least: preset=imagenette has such images."
        )
    if data.size < 2 ** len(blocks := arguments.get("widths", ())):
        raise ConfigError(
            f"data.size={data.size} is too small for model.widths={list(blocks)}, as each block "
            f"halves it; {2 ** len(blocks)} is the least."
        )
    if arguments.get("classes", data.classes) != data.classes:
        raise ConfigError(f"model.classes={arguments['classes']}, but data.classes={data.classes}.")
    try:
        network = outline({"_target_": model["_target_"], **arguments})
    except ValueError as error:
        raise ConfigError(f"model.{error}.") from None
    except (TypeError, RuntimeError, OverflowError) as error:
        raise ConfigError(f"model: {str(error).splitlines()[0]}.") from None
    least = getattr(network, "least", 1)
    if data.size < least:
        raise ConfigError(f"data.size={data.size} is too small for this network: below {least}.")
    return {"_target_": model["_target_"], **arguments}


def check_layers(settings: Settings) -> None:
    """Raise a ConfigError for a recipe that does not fit the network's layers."""
    recipe = settings.recipe
    for name in (recipe.objective, *(phase.objective for phase in recipe.phases)):
        if name in OF_STUDENTS and not issubclass(model_class(settings.model), FitNet):
            raise ConfigError(f"recipe: objective={name} is for students only (model=fitnet).")
    if recipe.max_norms:
        layers = [m for m in outline(settings.model).modules() if isinstance(m, WEIGHED)]
        if len(layers) != len(recipe.max_norms):
            raise ConfigError(
                f"recipe.max_norms has {len(recipe.max_norms)} values, but the network "
                f"{len(layers)} layers of weights."
            )
    for phase in recipe.phases:
        rates = phase.dropout
        if rates is not None and len(rates) != len(dropouts(outline(settings.model))):
            raise ConfigError(
                f"recipe.phases: dropout={list(rates)} is of {len(rates)} layers, but the network "
                f"has {len(dropouts(outline(settings.model)))}."
            )


def nearest(name: str, names: Iterable[str]) -> str:
    """A "Did you mean ...?" hint for a name that is not among `names`; empty if none is close."""
    names = list(names)
    synonym = SYNONYMS.get(re.split("[./]", name.lower().replace("-", "_"))[-1])
    meant = [synonym] if synonym in names else words.nearest(name, names)
    return f" {words.did_you_mean(meant)}" if meant else ""


def _explained(error: ErrorDetails, path: str) -> str:
    """A pydantic error in our words."""
    if error["type"] == "json_invalid":  # raised for the settings as a whole
        return "A setting, or the name of a folder, contains bytes that are not UTF-8."
    path = ".".join([path] * bool(path) + [str(part) for part in error["loc"]])
    reason, value, context = error["msg"], error["input"], error.get("ctx", {})
    match error["type"]:
        case "missing":
            return f"The setting {path} is missing."
        case "unexpected_keyword_argument":
            groups = [str(part) for part in error["loc"][:-1]]
            return f"Unknown setting {path}.{nearest(path, _names_in(groups))}"
        case "value_error":
            return f"{path}.{context['error']}.".lstrip(".")
        case "literal_error":
            choices = str(context["expected"]).replace("'", "").replace(" or ", ", ")
            return f"{path}={value} is unknown; choose one of {choices}."
        case "string_pattern_mismatch":
            return f"{path}={value}: a name has letters, digits and underscores only."
        case "dataclass_type":
            return f"{path}={value!r} should be a group of settings."
    return f"{path}={value!r} is impossible: {reason.removeprefix('Input ')}."


def _names_in(groups: list[str]) -> list[str]:
    """The full names of all settings in a nested group."""
    kind: Any = Settings
    for group in groups:
        # A number is an index into a list of settings.
        numbered = group.isdecimal()
        kind = typing.get_args(kind)[0] if numbered else typing.get_type_hints(kind)[group]
    names = [field.name for field in fields(kind)] if is_dataclass(kind) else []
    return [".".join([*groups, name]) for name in names]
