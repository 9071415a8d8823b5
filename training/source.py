"""What a run is trained and tested on, as it lies on the run's device."""

import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from data import nvjpeg, photographs
from data.arrays import ImageSet
from data.augment import statistics
from data.batches import Batches
from data.photographs import Photographs, training_view
from data.stream import Stream, decode_all
from data.tree import check_sizes
from training.engine import failure
from training.replicas import Replicas
from training.settings import ConfigError, Settings

Images = ImageSet | Photographs


@dataclass(frozen=True)
class Source:
    """The training batches and the evaluated splits of a run.

    Attributes:
        count: training images, without those held out.
        splits: `test` (of the process that evaluates) and, where images are held out, `val`; each
            holds uint8 images (N, H, W, 3) and labels (N,) on the device.
        mean, scale: see `data.augment.normalise`.
    """

    count: int
    batches: Batches | Stream
    splits: dict[str, tuple[Tensor, Tensor]]
    mean: Tensor
    scale: Tensor


def make_source(
    settings: Settings, images: Images, device: torch.device, replicas: Replicas | None = None
) -> Source:
    """Put a set on a device, or have worker processes read it.

    Raises:
        ConfigError: the recipe asks for more images than there are, or the set is another one than
            the configuration says.
        DataError: a test image is damaged, or one of training is empty and none are to be skipped.
    """
    check_fit(settings, images)
    recipe = settings.recipe
    count = training_count(images) - recipe.holdout
    if count < recipe.batch:
        raise ConfigError(
            f"recipe.holdout={recipe.holdout} leaves {count} of {count + recipe.holdout} "
            f"training images, below recipe.batch={recipe.batch}."
        )
    mean, scale = (tensor.to(device) for tensor in normalisation(settings, images))
    splits = {}
    if replicas is None or replicas.rank == 0:  # the others evaluate nothing
        splits["test"] = test_split(settings, images, device)
    common: dict[str, Any] = {
        "mean": mean, "scale": scale, "batch": recipe.batch, "wrap": recipe.wrap,
        "seed": settings.seed,
    }  # fmt: skip
    if isinstance(images, Photographs):
        if settings.damaged == "stop":
            check_sizes(images.train, ", or let damaged images be left out: damaged=skip")
        stream = Stream(
            images.train,
            training_view(recipe.crop, settings.data.size),
            size=settings.data.size,
            kind=recipe.colour,
            workers=workers(settings, device),
            damaged=settings.damaged,
            decoder=checked_decoder(settings, device),
            share=None if replicas is None else replicas.share,
            **common,
        )
        return Source(count, stream, splits, mean, scale)
    x, y = _on(device, images.train_images, images.train_labels)
    if recipe.holdout:
        splits["val"] = (x[count:], y[count:])
    batches = Batches(
        x[:count], y[:count], pad=settings.data.pad, flip=settings.data.flip, **common
    )
    return Source(count, batches, splits, mean, scale)


def training_count(images: Images) -> int:
    """Training images, held-out ones included."""
    return len(images.train if isinstance(images, Photographs) else images.train_images)


def normalisation(settings: Settings, images: Images) -> tuple[Tensor, Tensor]:
    """What is subtracted from an image, and what it is multiplied by then.

    Of photographs, whose statistics would take hours to compute, the published ones of ImageNet's
    channels; they stand for the mean of a pixel, too.
    """
    recipe = settings.recipe
    if isinstance(images, Photographs):
        mean = torch.zeros(3) if recipe.mean == "none" else torch.tensor(photographs.MEAN)
        scales = {
            "none": torch.ones(3), "channel": 1 / torch.tensor(photographs.STD),
            "255": torch.full((3,), 1 / 255),
        }  # fmt: skip
        if recipe.std not in scales:
            raise ConfigError(f"recipe.std={recipe.std} is not known of {images.name}.")
        return mean, scales[recipe.std]
    kept = len(images.train_images) - recipe.holdout
    return statistics(images.train_images[:kept], recipe.mean, recipe.std)


def test_split(settings: Settings, images: Images, device: torch.device) -> tuple[Tensor, Tensor]:
    """Test images uint8 (N, H, W, 3), of photographs their centres, and labels (N,)."""
    if isinstance(images, Photographs):
        centres = decode_all(images.test, settings.data.size, workers(settings, device))
        return centres.to(device), torch.from_numpy(images.test.labels).to(device)
    x, y = _on(device, images.test_images, images.test_labels)
    return x, y


def workers(settings: Settings, device: torch.device) -> int:
    """Processes that decode photographs: those that were asked for, else one for each core that
    does not train."""
    if settings.workers is not None:
        return settings.workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (cores or 1) if device.type == "cuda" else 1


def checked_decoder(settings: Settings, device: torch.device) -> str:
    """What decodes the training photographs.

    Raises:
        ConfigError: nvJPEG does not work on the device.
    """
    if settings.decoder == "nvjpeg":
        reason = "it needs a CUDA GPU"
        if device.type == "cuda":
            reason = failure(nvjpeg.check, device) or ""
        if reason:
            raise ConfigError(f"decoder=nvjpeg does not work here ({reason}); use decoder=cpu.")
    return settings.decoder


def check_fit(settings: Settings, images: Images) -> None:
    """Refuse a configuration whose classes or image size are not those of the data.

    Raises:
        ConfigError: they are not.
    """
    found = {"classes": len(images.classes)}
    if isinstance(images, Photographs):
        if settings.recipe.holdout:
            raise ConfigError(f"recipe.holdout: no images of {images.name} are held out; set 0.")
        if settings.recipe.crop == "pad":
            raise ConfigError(
                f"recipe.crop=pad is for small images; {images.name} needs scale or aspect."
            )
    else:
        found["size"] = images.train_images.shape[1]
    for key, value in found.items():
        if getattr(settings.data, key) != value:
            raise ConfigError(
                f"data.{key}={getattr(settings.data, key)}, but {images.name} has {value}."
            )


def _on(device: torch.device, *arrays: Any) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(array).to(device) for array in arrays)
