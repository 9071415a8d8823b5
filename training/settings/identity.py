"""The identity of a run: the settings that decide its numbers."""

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.settings.config import defaults_of, machine_settings
from training.settings.network import model_class
from training.settings.recipe import Phase, Recipe
from training.settings.settings import Preset, Settings


def recorded_settings(settings: Settings) -> dict[str, Any]:
    """All settings except those that describe the machine or a path, as plain data."""
    return _without_machine(asdict(settings), machine_settings())


def deciding_settings(settings: Settings) -> dict[str, Any]:
    """The settings that decide the numbers, as plain data.

    Network arguments and fields at their defaults are left out, so that adding one whose default
    changes nothing keeps the identity of earlier runs.
    """
    kept = recorded_settings(settings)
    parameters = inspect.signature(model_class(settings.model)).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    kept["model"] = _without_defaults(kept["model"], defaults)
    kept["recipe"] = _without_defaults(kept["recipe"], defaults_of(Recipe))
    if phases := kept["recipe"].get("phases"):
        kept["recipe"]["phases"] = [_without_defaults(p, defaults_of(Phase)) for p in phases]
    kept["preset"] = _without_defaults(kept["preset"], defaults_of(Preset))
    return _without_defaults(kept, defaults_of(Settings))


def identity(settings: Settings) -> dict[str, Any]:
    """The identity of a run: the settings that decide its numbers, and a student's teacher."""
    teacher = teacher_hash(settings)
    return deciding_settings(settings) | ({"teacher": teacher} if teacher else {})


def teacher_hash(settings: Settings) -> str | None:
    """The SHA-256 of the weights of a student's teacher, or None if there is no such file."""
    path = Path(settings.recipe.teacher)
    return digest(path) if settings.recipe.teacher and path.is_file() else None


def digest(path: Path) -> str:
    """SHA-256 of a weights file, by which a record identifies it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def recipe_hash(settings: Settings) -> str:
    """Hash of the settings that decide the numbers, except the seed: 16 hex digits."""
    deciding = {key: value for key, value in deciding_settings(settings).items() if key != "seed"}
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:16]


def _without_machine(values: Any, machine: set[str], prefix: str = "") -> dict[str, Any]:
    return {
        key: _without_machine(value, machine, f"{prefix}{key}.")
        if isinstance(value, dict)
        else value
        for key, value in values.items()
        if prefix + key not in machine
    }


def _without_defaults(values: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in values.items() if key not in defaults or defaults[key] != value
    }
