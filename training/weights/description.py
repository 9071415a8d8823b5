"""What a file of weights is of: its row, network and normalisation, kept inside the file."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from training.settings.identity import deciding_settings
from training.settings.settings import Settings
from training.weights.export import WeightsError


def describe(settings: Settings, experiment: str) -> dict[str, str]:
    """What is kept of the row that weights are trained for."""
    recipe = settings.recipe
    return {
        "experiment": experiment,
        "model": json.dumps(deciding_settings(settings)["model"], sort_keys=True),
        "normalisation": json.dumps({"mean": recipe.mean, "std": recipe.std}),
    }


def description(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself; empty where it says nothing of that."""
    if path.suffix != ".safetensors" or not path.is_file():
        return {}
    try:
        with safe_open(path, "pt") as file:
            return {key: str(value) for key, value in (file.metadata() or {}).items()}
    except (SafetensorError, OSError):
        return {}  # whoever reads its tensors says what is wrong


def check_description(path: Path, told: dict[str, str], settings: Settings) -> None:
    """Refuse weights of another network, or for images that were normalised otherwise.

    Args:
        told: what is known of the file, as by `describe`.

    Raises:
        WeightsError: they are.
    """
    expected = describe(settings, "")
    other = [
        key for key in ("model", "normalisation") if told.get(key, expected[key]) != expected[key]
    ]
    if other:
        what = "network" if "model" in other else "normalisation of images"
        row = ascii(told.get("experiment", "another row")).strip("'")[:100]
        raise WeightsError(
            f"{path} holds weights of {row}, which has another {what} than was named here.\n"
            f"Give experiment={row}, or force=true to evaluate them all the same."
        )
