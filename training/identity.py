"""What makes two runs the same: the settings that decide their numbers."""

import hashlib
import inspect
import json
from dataclasses import MISSING, asdict, fields
from typing import Any

from training.network import model_class
from training.settings import Recipe, Settings

DECIDING = ("seed", "precision", "model", "recipe", "preset")


def science(settings: Settings) -> dict[str, Any]:
    """The part of the settings that decides the numbers.

    Arguments of the network and fields of the recipe that have their default are left out, so that
    a new one, which by its default changes nothing, leaves earlier runs what they were.
    """
    whole = asdict(settings)
    kept = {key: whole[key] for key in DECIDING}
    parameters = inspect.signature(model_class(settings.model)).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    kept["model"] = _without(defaults, kept["model"])
    defaults = {field.name: field.default for field in fields(Recipe)}
    kept["recipe"] = _without(defaults, kept["recipe"])
    if settings.decoder != "cpu":  # whose pixels are not quite the same
        kept["decoder"] = settings.decoder
    kept["data"] = {key: value for key, value in whole["data"].items() if key != "folder"}
    return kept


def recipe_hash(settings: Settings) -> str:
    """Hash over the settings that decide the numbers, the seed apart: 16 hex digits."""
    deciding = {key: value for key, value in science(settings).items() if key != "seed"}
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:16]


def _without(defaults: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in values.items()
        if key not in defaults or defaults[key] is MISSING or defaults[key] != value
    }
