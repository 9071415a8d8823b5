"""Evaluate weights on the test set of a run, from its record or from any weights file."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from data.augment import statistics
from data.sets import load as load_images
from training.config import read_settings
from training.device import find_device
from training.evaluate import evaluate
from training.export import WeightsError, load_weights
from training.network import build_model
from training.settings import ConfigError, Settings

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


def evaluate_weights(settings: Settings, weights: Path) -> tuple[float, float, int]:
    """Loss, top-1 error in percent and number of images: test set, single view, float32.

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
    loss, error = evaluate(
        model.to(device).to(memory_format=torch.channels_last),
        torch.from_numpy(images.test_images).to(device),
        torch.from_numpy(images.test_labels).to(device),
        mean=mean.to(device),
        scale=scale.to(device),
        bf16=False,
    )
    return loss, error, len(images.test_images)
