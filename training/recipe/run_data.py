"""Training and test data of a run, on the run's device but for photographs."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.arrays.augment import statistics
from data.arrays.batches import Batches
from data.arrays.imageset import ImageSet
from data.arrays.prepared import prepared
from data.order import TrainingBatches
from data.photographs import photographs
from data.photographs.photographs import Photographs, check_whole, training_view
from data.photographs.stream import Stream, decode_all
from data.photographs.tree import check_sizes
from records.processor import cores
from training.process.replicas import Replicas
from training.settings.settings import Settings
from training.settings.types import ConfigError

Images = ImageSet | Photographs


@dataclass(frozen=True)
class RunData:
    """The training batches and the evaluated splits of a run.

    Attributes:
        epoch_size: training images per epoch, without those held out.
        splits: `test` (in the process that evaluates) and, if images are held out, `val`; each has
            images (N, H, W, 3), uint8 or prepared, and labels (N,): see `test_split`.
        mean, scale: see `data.arrays.augment.normalise`.
    """

    epoch_size: int
    batches: TrainingBatches
    splits: dict[str, tuple[Tensor, Tensor]]
    mean: Tensor
    scale: Tensor


def load_run_data(
    settings: Settings, images: Images, device: torch.device, replicas: Replicas | None = None
) -> RunData:
    """Put a data set on the device, or set up worker processes that read it.

    Raises:
        ConfigError: the recipe needs more images than there are, or the data do not match the
            config.
        DataError: images of ImageNet are missing, a test image or the cached file of prepared
            images is damaged, or a training image is empty and `damaged` is `stop`.
    """
    check_fit(settings, images)
    if isinstance(images, Photographs):
        check_whole(images)
    images = prepared_for(settings, images)
    recipe, whole = settings.recipe, images.train_count
    count = whole - recipe.holdout
    if count < recipe.batch:
        raise ConfigError(
            f"recipe.holdout={recipe.holdout} leaves {count} of {whole} "
            f"training images, below recipe.batch={recipe.batch}."
        )
    mean, scale = (tensor.to(device) for tensor in normalisation(settings, images))
    splits = {}
    if replicas is None or replicas.rank == 0:  # the others do not evaluate
        splits["test"] = test_split(settings, images, device)
    common: dict[str, Any] = {
        "mean": mean, "scale": scale, "batch": recipe.batch, "wrap": recipe.wrap,
        "seed": settings.seed, "share": slice if replicas is None else replicas.share,
    }  # fmt: skip
    if isinstance(images, Photographs):
        return RunData(count, _stream(settings, images, device, common), splits, mean, scale)
    x, y = _on(device, images.train_images, images.train_labels)
    if recipe.holdout:
        splits["val"] = (x[count:], y[count:])
    epoch_size = recipe.epoch_size(whole)
    batches = Batches(
        x[:count], y[:count], pad=translation(settings), flip=settings.data.flip,
        border=recipe.border, an_epoch=epoch_size, **common,
    )  # fmt: skip
    return RunData(epoch_size, batches, splits, mean, scale)


def prepared_for(settings: Settings, images: Images) -> Images:
    """Prepare a data set as the recipe says; raise a DataError if its cached file is damaged."""
    recipe = settings.recipe
    if isinstance(images, Photographs):
        return images
    return prepared(images, recipe.prepare, recipe.contrast, Path(settings.data.folder))


def translation(settings: Settings) -> int:
    """Maximum shift of training images in pixels: `recipe.translate` or else `data.pad`, and 0 if
    `data.pad` is 0."""
    pad = settings.data.pad
    return settings.recipe.translate or pad if pad else 0


def normalisation(settings: Settings, images: Images) -> tuple[Tensor, Tensor]:
    """Mean to subtract from an image, and scale to multiply it by after that.

    Statistics of photographs would take hours to compute: they get ImageNet's published channel
    statistics, also as the mean of a `pixel`.
    """
    recipe = settings.recipe
    if isinstance(images, Photographs):
        published = torch.tensor(photographs.MEAN)
        means = {"none": torch.zeros(3), "half": torch.full((3,), 127.5)}
        mean = means.get(recipe.mean, published)
        scales = {
            "none": torch.ones(3), "channel": 1 / torch.tensor(photographs.STD),
            "255": torch.full((3,), 1 / 255), "half": torch.full((3,), 1 / 127.5),
        }  # fmt: skip
        if recipe.std not in scales:
            raise ConfigError(f"recipe.std={recipe.std} is unknown for {images.name}.")
        return mean, scales[recipe.std]
    kept = images.train_count - recipe.holdout
    return statistics(images.train_images[:kept], recipe.mean, recipe.std)


def test_split(settings: Settings, images: Images, device: torch.device) -> tuple[Tensor, Tensor]:
    """Test images (N, H, W, 3) and labels (N,), on the device; the centre crops of photographs,
    which would fill a GPU, in memory."""
    if isinstance(images, Photographs):
        centres = decode_all(images.test, settings.data.size, workers(settings, device))
        return centres, torch.from_numpy(images.test.labels)
    x, y = _on(device, images.test_images, images.test_labels)
    return x, y


def workers(settings: Settings, device: torch.device) -> int:
    """Number of processes that decode photographs: `settings.workers` if set, otherwise one per
    core, shared with the processes and runs beside this one, for training on a GPU, and one for
    training on the CPU."""
    if settings.workers is not None:
        return settings.workers
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) * settings.runs_at_once
    return max(1, cores() // beside) if device.type == "cuda" else 1


def check_fit(settings: Settings, images: Images) -> None:
    """Raise a ConfigError if the settings do not fit the data: other classes or sizes, or holdout,
    preparation, crops, border or colours that they do not support."""
    recipe, files = settings.recipe, isinstance(images, Photographs)
    if files and recipe.holdout:
        raise ConfigError(f"recipe.holdout: no images of {images.name} are held out; set 0.")
    if (recipe.crop == "pad") == files:
        fitting = "scale or aspect" if files else "pad"
        raise ConfigError(
            f"recipe.crop={recipe.crop} is not for {images.name}, which needs {fitting}."
        )
    if recipe.colour != "none" and not files:
        raise ConfigError(
            f"recipe.colour={recipe.colour} is for photographs, not for {images.name}."
        )
    if recipe.prepare != "none" and files:
        raise ConfigError(
            f"recipe.prepare={recipe.prepare} is for whole sets in memory, not for "
            f"{images.name}; set none."
        )
    if recipe.border == "reflect" and translation(settings) >= settings.data.size:
        raise ConfigError(
            f"recipe.border=reflect moves images of {settings.data.size} pixels by less than that, "
            f"not by {translation(settings)}."
        )
    facts = {"classes": len(images.classes), "size": images.size}
    for key, value in facts.items():
        if value is not None and getattr(settings.data, key) != value:
            raise ConfigError(
                f"data.{key}={getattr(settings.data, key)}, but {images.name} has {value}; set "
                f"data.{key}={value}."
            )


def _stream(
    settings: Settings,
    images: Photographs,
    device: torch.device,
    common: dict[str, Any],
) -> Stream:
    if settings.damaged == "stop":
        check_sizes(images.train, ", or leave damaged images out with damaged=skip")
    return Stream(
        images.train,
        training_view(settings.recipe.crop, settings.data.size, settings.recipe.short_to),
        size=settings.data.size,
        kind=settings.recipe.colour,
        workers=workers(settings, device),
        damaged=settings.damaged,
        **common,
    )


def _on(device: torch.device, *arrays: Any) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(array).to(device) for array in arrays)
