"""Evaluate weights on the test set of a run, from its record or from any weights file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import Tensor, nn

from data.photographs import Photographs
from data.sets import load as load_images
from training.analysis import responses, reuse, write
from training.config import read_settings
from training.device import find_device
from training.evaluate import evaluate
from training.export import WeightsError, load_weights
from training.network import build_model
from training.protocols import PROTOCOLS, Result, evaluate_photographs
from training.settings import ConfigError, Settings
from training.source import check_fit, normalisation, test_split, workers

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


def record_weights(folder: Path, results: Path, outputs: Path) -> Path:
    """The weights of a record: beside it, among the shipped ones, or where they were trained.

    Raises:
        WeightsError: there are none.
    """
    places = [folder / "weights.safetensors"]
    runs = (results / "runs").resolve()
    if folder.resolve().is_relative_to(runs):
        name = folder.resolve().relative_to(runs)
        places.append(results / "weights" / f"{name}.safetensors")
        places.append(outputs / "runs" / "paper" / name / "weights.safetensors")
    for path in places:
        if path.exists():
            return path
    raise WeightsError(
        f"{folder} has no weights here; give them with weights=FILE, or train the run first."
    )


@dataclass(frozen=True)
class Member:
    """A network by its settings, and its weights; `record` is the folder they were found by."""

    settings: Settings
    weights: Path
    record: Path | None = None


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
    mean, scale = (tensor.to(device) for tensor in normalisation(settings, images))
    model = model.to(device).to(memory_format=torch.channels_last)
    return Prepared(model, *test_split(settings, images, device), mean, scale)


def members(config: DictConfig, results: Path) -> list[Member]:
    """The networks that the command line names: of records, or of a row and weights files.

    Raises:
        ConfigError, WeightsError: it names none, or none that can be read.
    """
    weights = (
        None if config.weights is None else [Path(str(path)) for path in _each(config.weights)]
    )
    if config.run is None:
        if weights is None:
            raise ConfigError("Give run=<record folder>, or experiment=<row> and weights=<file>.")
        settings = read_settings(config)
        return [Member(settings, path) for path in weights]
    folders = [Path(str(folder)) for folder in _each(config.run)]
    settings_of = {folder: record_settings(config, folder) for folder in folders}
    outputs = Path(str(config.output_dir))
    found = weights or [record_weights(folder, results, outputs) for folder in folders]
    if len(found) != len(folders):
        raise ConfigError(f"{len(folders)} runs and {len(found)} weights files: give one for each.")
    records = [None if weights else folder for folder in folders]
    told = [settings_of[folder] for folder in folders]
    return [Member(*parts) for parts in zip(told, found, records, strict=True)]


def _each(value: Any) -> list[Any]:
    return list(value) if isinstance(value, ListConfig) else [value]


def evaluate_members(
    chosen: Sequence[Member], protocol: str, crop: int | None, short: int | None
) -> Result:
    """Test a network, or an ensemble, on photographs, in float32.

    Raises:
        ConfigError: there is no such protocol, or the networks are not for the same photographs.
        WeightsError, DataError: see `prepare`.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"protocol={protocol} is unknown; choose one of {', '.join(PROTOCOLS)}.")
    for name, pixels in (("crop", crop), ("short", short)):
        if pixels is not None and not (isinstance(pixels, int) and pixels > 0):
            raise ConfigError(f"{name}={pixels} is no number of pixels.")
    settings = chosen[0].settings
    if len({member.settings.data.source for member in chosen}) > 1:
        raise ConfigError("The members of an ensemble are tested on one data set; these have two.")
    device = find_device(settings.device)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    images = load_images(settings.data.source, Path(settings.data.folder))
    if not isinstance(images, Photographs):
        raise ConfigError("protocol, crop, save and ensembles are for photographs; leave them out.")
    models = []
    for member in chosen:
        check_fit(member.settings, images)
        model = build_model(member.settings)
        load_weights(model, member.weights)
        models.append(model.to(device).to(memory_format=torch.channels_last))
    mean, scale = (tensor.to(device) for tensor in normalisation(settings, images))
    return evaluate_photographs(
        models, images.test, protocol, size=crop or settings.data.size, short=short,
        mean=mean, scale=scale, workers=workers(settings, device),
    )  # fmt: skip


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
