"""What weights belong to, as their file says: row, network and normalisation."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from training.settings.config import defaults_of
from training.settings.identity import deciding_settings
from training.settings.recipe import Recipe
from training.settings.settings import Settings
from training.weights.export import ABOUT, WeightsError, read_content

DAMAGED = "damaged"  # in place of the network, where a description cannot be read


def describe(settings: Settings, experiment: str) -> dict[str, str]:
    """Describe the row that weights are trained for, as kept in their file."""
    return _described(deciding_settings(settings), experiment)


def _described(deciding: Mapping[str, Any], experiment: str) -> dict[str, str]:
    recipe = defaults_of(Recipe) | deciding["recipe"]
    keys = ["mean", "std", *(["prepare", "contrast"] if recipe["prepare"] != "none" else [])]
    return {
        "experiment": experiment,
        "model": json.dumps(deciding["model"], sort_keys=True),
        "normalisation": json.dumps({key: recipe[key] for key in keys}),
        "data": str(deciding["data"]["source"]),
    }


def description(path: Path) -> dict[str, str]:
    """The description in a safetensors file or in a checkpoint of ours; empty if there is none."""
    if not path.is_file():
        return {}
    if path.suffix != ".safetensors":
        content = read_content(path)
        try:
            return _described(content["science"], "another run")
        except (KeyError, TypeError):
            return {}  # of other code
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(ABOUT, "{}")
    except (SafetensorError, OSError):
        return {}  # reading its tensors will report what is wrong
    try:
        return {key: str(value) for key, value in dict(json.loads(text)).items()}
    except (ValueError, TypeError, RecursionError):
        return {"model": DAMAGED}


def check_description(path: Path, stated: dict[str, str], settings: Settings) -> None:
    """Raise a WeightsError for weights of another network, image normalisation or data set;
    `stated` is the file's description, as made by `describe`."""
    expected = describe(settings, "")
    differing = [
        f"{prefix}{key}={value}"
        for name, prefix in (("model", "model."), ("normalisation", "recipe."))
        for key, value in _differing(stated.get(name, expected[name]), expected[name]).items()
    ]
    if stated.get("data", expected["data"]) != expected["data"]:
        differing.append(f"data.source={expected['data']}")
    if differing:
        data = _printable(stated.get("data", "other data"))
        row = _printable(stated.get("experiment", "another row"))
        raise WeightsError(
            f"{path} holds weights of {row} on {data}, which "
            f"differs from what is named here: {', '.join(map(_printable, differing[:3]))}.\n"
            "Name what they are of, or give force=true to evaluate them all the same."
        )


def _differing(stated: str, expected: str) -> dict[str, object]:
    """The values of a JSON mapping that differ from the expected ones."""
    try:
        mine, theirs = json.loads(expected), dict(json.loads(stated))
    except (ValueError, TypeError, RecursionError):
        return {"description": "damaged"}
    keys = sorted(map(str, mine.keys() | theirs.keys()))
    return {key: theirs.get(key, "default") for key in keys if mine.get(key) != theirs.get(key)}


def _printable(text: str) -> str:
    """At most a hundred characters, all printable ASCII."""
    return ascii(text).strip("'\"")[:100]
