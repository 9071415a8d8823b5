"""Evaluate weights on the test set of a run, from its record or from any weights file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from data.augment import statistics
from data.sets import load as load_images
from training.analysis import responses, reuse, write
from training.config import read_settings
from training.device import find_device
from training.evaluate import evaluate
from training.export import WeightsError, load_weights
from training.network import build_model
from training.settings import ConfigError, Settings

ANALYSES = ("responses", "reuse")
# What a record says of its run; the rest is up to the machine at hand.
RECORDED = ("data", "model", "recipe", "seed", "precision")


def record_settings(config: DictConfig, folder: Path) -> Settings:
    """The settings of a recorded run, on the machine at hand.

    Raises:
        ConfigError: the folder holds no readable record.
    """
    try:
        recorded: Any = OmegaConf.load(folder / "config.yaml")
        changes = {key: recorded[key] for key in RECORDED}
    except (OSError, KeyError, ValueError, AttributeError):
        raise ConfigError(f"run={folder}: no record there (no readable config.yaml).") from None
    machine = OmegaConf.create({"data": {"folder": config.data.folder}})
    plain: Any = OmegaConf.to_container(config, resolve=False)
    merged = {**plain, **changes}
    return read_settings(OmegaConf.merge(OmegaConf.create(merged), machine))  # type: ignore[arg-type]


def record_weights(folder: Path, results: Path) -> Path:
    """The weights of a record: beside it, or among the shipped ones.

    Raises:
        WeightsError: there are none.
    """
    beside = folder / "weights.safetensors"
    runs = (results / "runs").resolve()
    shipped = beside
    if folder.resolve().is_relative_to(runs):
        name = folder.resolve().relative_to(runs)
        shipped = results / "weights" / f"{name}.safetensors"
    for path in (beside, shipped):
        if path.exists():
            return path
    raise WeightsError(
        f"{folder} has no weights here; give them with weights=FILE, or train the run first."
    )


@dataclass(frozen=True)
class Prepared:
    """A network with its weights, and the test set as it is fed to it: images uint8 (N, H, W, 3),
    labels (N,)."""

    model: nn.Module
    images: Tensor
    labels: Tensor
    mean: Tensor
    scale: Tensor


def prepare(settings: Settings, weights: Path) -> Prepared:
    """Make everything ready to evaluate weights in float32.

    Raises:
        WeightsError, DataError, ConfigError: see where they are defined.
    """
    device = find_device(settings.device)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    if settings.threads:
        torch.set_num_threads(settings.threads)
    model = build_model(settings)
    load_weights(model, weights)
    images = load_images(settings.data.source, Path(settings.data.folder))
    kept = len(images.train_images) - settings.recipe.holdout
    mean, scale = statistics(images.train_images[:kept], settings.recipe.mean, settings.recipe.std)
    return Prepared(
        model.to(device).to(memory_format=torch.channels_last),
        torch.from_numpy(images.test_images).to(device),
        torch.from_numpy(images.test_labels).to(device),
        mean.to(device),
        scale.to(device),
    )


def evaluate_weights(settings: Settings, weights: Path) -> tuple[float, float, int]:
    """Loss, top-1 error in percent and number of images: test set, single view, float32.

    Raises:
        WeightsError, DataError, ConfigError: see `prepare`.
    """
    ready = prepare(settings, weights)
    loss, error = evaluate(
        ready.model, ready.images, ready.labels, mean=ready.mean, scale=ready.scale, bf16=False
    )
    return loss, error, len(ready.images)


def analyse(settings: Settings, weights: Path, analysis: str, folder: Path) -> Path:
    """Write what an analysis of weights shows into the folder of their record; returns the file.

    Raises:
        ConfigError: there is no such analysis, or none of this network.
        WeightsError, DataError: see `prepare`.
    """
    if analysis not in ANALYSES:
        raise ConfigError(f"analysis={analysis} is unknown; choose one of {', '.join(ANALYSES)}.")
    ready = prepare(settings, weights)
    if analysis == "reuse":
        rows = reuse(ready.model)
    else:
        rows = responses(ready.model, ready.images, ready.mean, ready.scale)
    path = folder / f"{analysis}.csv"
    write(rows, path)
    return path
