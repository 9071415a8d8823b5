"""Runs that have ended: what their records say, and their place among the results."""

import json
import shutil
from pathlib import Path
from typing import Any

from training.identity import recipe_hash
from training.naming import weights_file, working_folder
from training.record import copy_record, make_folder
from training.settings import ConfigError, Settings

# Weights of seed 0 are shipped with the record up to this size.
SHIPPED_BYTES = 4 * 2**20


def check_same(settings: Settings, folder: Path) -> None:
    """Refuse to take the record of another configuration for this run's.

    Raises:
        ConfigError: the record in the folder is one, or cannot be read.
    """
    if summary_of(folder).get("recipe") != recipe_hash(settings):
        raise ConfigError(
            f"{folder} holds a finished run of another configuration (see its config.yaml).\n"
            "Move it away, or set the configuration back."
        )


def status_of(folder: Path) -> str:
    """How the run ended whose record lies in a folder."""
    return str(summary_of(folder)["status"])


def summary_of(folder: Path) -> dict[str, Any]:
    """The summary of a record.

    Raises:
        ConfigError: it is damaged.
    """
    path = folder / "summary.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is damaged ({error}); restore or delete its folder.") from None


def publish(settings: Settings, name: str, results: Path) -> None:
    """Copy the finished record of a full recipe, and small weights, to the results."""
    working = working_folder(settings, name)
    weights = working / "weights.safetensors"
    small = weights.exists() and weights.stat().st_size <= SHIPPED_BYTES
    if small and settings.seed == 0:
        target = weights_file(settings, name)
        make_folder(target.parent)
        shutil.copyfile(weights, target)
    make_folder(results)
    copy_record(working, results)
