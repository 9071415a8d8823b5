"""The settings and the weights of a recorded run, found by its folder."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from records.config import read_config
from records.names import (
    CHECKPOINTS,
    CONFIG,
    KEPT,
    WEIGHTS,
    record_folder,
    working_folder,
)
from records.record import is_finished, summary_of
from training.settings.checks import checked
from training.settings.config import machine_settings
from training.settings.identity import digest
from training.settings.settings import Settings
from training.settings.types import ConfigError
from training.weights.export import WeightsError


def record_settings(config: DictConfig, folder: Path) -> Settings:
    """The settings of a recorded run, combined with those of this machine.

    Raises:
        ConfigError: the folder holds no record, or one with impossible settings.
        RecordError: its configuration is damaged.
    """
    if not (folder / CONFIG).is_file():
        raise ConfigError(
            f"run={folder}: no record there (no readable {CONFIG}).\n"
            "run= takes a folder such as results/runs/he2015_residual/table6/resnet20/cifar10_aug/"
            "seed0."
        )
    recorded = read_config(folder / CONFIG)
    # Settings that a record of an earlier version lacks take their defaults.
    known = {f.name: recorded[f.name] for f in fields(Settings) if f.name in recorded}
    if isinstance(known.get("data"), dict):
        known["data"]["folder"] = str(config.data.folder)
    asked: Any = OmegaConf.to_container(config, resolve=True)
    here = {key: asked[key] for key in machine_settings() if key in asked}
    return checked({**known, **here})


def record_weights(folder: Path, results: Path, outputs: Path) -> Path:
    """Find the weights of a record: beside it, among the shipped ones, or where it was trained; of
    a run that has not ended, its newest checkpoint.

    Raises:
        WeightsError: there are none, or they are damaged.
        RecordError: the record's summary is damaged.
    """
    if not is_finished(folder):
        if saved := sorted(folder.glob(CHECKPOINTS)):
            return saved[-1]
        raise WeightsError(f"{folder}: this run has not ended, and has no checkpoint yet.")
    places = [folder / WEIGHTS, *_shipped(folder)]
    for preset in KEPT:
        runs = record_folder(outputs, results, preset, "").resolve()
        if folder.resolve().is_relative_to(runs):
            name = folder.resolve().relative_to(runs).as_posix()
            places.append(working_folder(outputs, preset, name) / WEIGHTS)
    expected = summary_of(folder).get("weights")
    for path in places:
        if path.exists():
            if digest(path) != expected:
                raise WeightsError(
                    f"{path} is not what the run of {folder} wrote: damaged, or exchanged.\n"
                    "Restore it (`git checkout` does if it is shipped), or name it as weights=FILE."
                )
            return path
    raise WeightsError(
        f"{folder} has no weights here; give them with weights=FILE, or train the run first."
    )


def _shipped(folder: Path) -> list[Path]:
    """Where the weights of a record in any results folder are, if they are shipped with it."""
    parts = folder.resolve().parts
    places = [k for k, part in enumerate(parts) if part == "runs"]
    below = [Path(*parts[:k], "weights", *parts[k + 1 :]) for k in reversed(places)]
    return [path.with_name(f"{path.name}.safetensors") for path in below]
