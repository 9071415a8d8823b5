"""The networks that are tested, found by records or weights files, and loaded with their data."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from data.photographs.photographs import Photographs
from data.sets import load as load_images
from records.config import read_config
from records.names import CONFIG, at_home, datasets
from records.record import is_finished, summary_of
from training.process.device import find_device
from training.recipe.run_data import Images, check_fit, normalisation, prepared_for
from training.settings.config import EVAL_OPTIONS, read_settings
from training.settings.network import build_model
from training.settings.settings import EvalOptions, Settings
from training.settings.types import ConfigError
from training.weights.description import check_description, describe, description
from training.weights.export import load_weights
from training.weights.recorded import record_settings, record_weights

CONSTANT = ("none", "half", "255")  # normalisation that no image decides


@dataclass(frozen=True)
class Member:
    """A network's settings and weights file.

    Attributes:
        record: the folder by which it was found.
        trained_on: the data set that its description names; empty if it has none.
    """

    settings: Settings
    weights: Path
    record: Path | None = None
    trained_on: str = ""


@dataclass(frozen=True)
class Loaded:
    """Networks with their weights on a device, and the data set that they are tested on.

    Attributes:
        mean, scale: of the training images, on the device: see `data.arrays.augment.normalise`.
    """

    models: list[nn.Module]
    files: list[Path]
    settings: Settings
    images: Images
    device: torch.device
    mean: Tensor
    scale: Tensor


def members(config: DictConfig, options: EvalOptions, results: Path) -> list[Member]:
    """The networks named on the command line: by records, or by a row and weights files.

    Raises:
        ConfigError, WeightsError: none is named, or one cannot be read.
    """
    weights = None if options.weights is None else [Path(path) for path in options.weights]
    if options.run is None:
        if weights is None:
            raise ConfigError("Give run=<record folder>, or experiment=<row> and weights=<file>.")
        settings = read_settings(config, EVAL_OPTIONS)
        return [_described(config, options, settings, path) for path in weights]
    folders = [Path(folder) for folder in options.run]
    settings_of = [record_settings(config, folder) for folder in folders]
    outputs = Path(at_home(str(config.output_dir)))
    files = weights or [record_weights(folder, results, outputs) for folder in folders]
    if len(files) != len(folders):
        raise ConfigError(f"{len(folders)} runs and {len(files)} weights files: give one for each.")
    records = [None if weights or not is_finished(folder) else folder for folder in folders]
    return [
        _described(config, options, *parts)
        for parts in zip(settings_of, files, records, strict=True)
    ]


def _described(
    config: DictConfig,
    options: EvalOptions,
    settings: Settings,
    path: Path,
    record: Path | None = None,
) -> Member:
    """A network of which the weights' own description, if any, is checked.

    Raises:
        WeightsError: it is of another row, normalisation or data set.
    """
    stated = _description_of(config, path)
    if not options.force:
        check_description(path, stated, settings)
    trained_on = settings.data.source if record else stated.get("data", "")
    return Member(settings, path, record, trained_on)


def _description_of(config: DictConfig, path: Path) -> dict[str, str]:
    """The description of a weights file: its own or, if it is shipped without one, its record's."""
    if stated := description(path):
        return stated
    parts = path.absolute().with_suffix("").parts
    if "weights" not in parts:
        return {}
    place = len(parts) - 1 - parts[::-1].index("weights")
    folder = Path(*parts[:place], "runs", *parts[place + 1 :])
    if not (folder / CONFIG).is_file():
        return {}
    experiment = str(read_config(folder / CONFIG).get("experiment", "another row"))
    return describe(record_settings(config, folder), experiment)


def _say_how(member: Member, *, ours: bool) -> None:
    """Say what is assumed about weights that do not describe themselves."""
    recipe = member.settings.recipe
    how = (
        "it does not say what it is of."
        if ours
        else ("its names are not ours, so tensors were matched by type and order.")
    )
    print(
        f"{member.weights}: {how}\nImages are normalised by mean={recipe.mean} and "
        f"std={recipe.std} of {member.settings.data.source}; if its code has other values, give "
        "recipe.mean and recipe.std.",
        file=sys.stderr,
    )


def _statistics(member: Member, images: Images) -> tuple[Tensor, Tensor]:
    """Mean and scale of the images that a network was trained on, whatever it is tested on.

    Raises:
        ConfigError: they do not fit the images that it is tested on.
        DataError: its training images are missing.
    """
    settings, own = member.settings, member.settings.data
    constant = settings.recipe.mean in CONSTANT and settings.recipe.std in CONSTANT
    if member.trained_on in ("", own.source) or constant or isinstance(images, Photographs):
        return normalisation(settings, images)
    name = f"{member.trained_on}.npz"  # where the other set is, or among all of them
    beside = (Path(own.folder) / name).exists()
    trained_on = load_images(member.trained_on, Path(own.folder) if beside else datasets())
    if isinstance(trained_on, Photographs) or trained_on.size != own.size:
        raise ConfigError(f"Weights of {member.trained_on} are for images of another size.")
    if settings.recipe.prepare == "zca":
        raise ConfigError(f"Only {member.trained_on} itself is whitened as these weights need it.")
    print(f"Images are normalised as those of {member.trained_on}.", file=sys.stderr)
    return normalisation(settings, prepared_for(settings, trained_on))


def load_networks(chosen: Sequence[Member]) -> Loaded:
    """Load networks and their data, ready for tests in float32.

    Raises:
        ConfigError: the networks are not for the same data, or not for the data at hand.
        WeightsError, DataError: weights or data are missing or damaged, or of another network.
    """
    settings = chosen[0].settings
    if len({member.settings.data.source for member in chosen}) > 1:
        raise ConfigError("The members of an ensemble are tested on one data set; these have two.")
    seen = {(describe(m.settings, "")["normalisation"], m.settings.data.size) for m in chosen}
    if len(seen) > 1:
        raise ConfigError(
            "The members of an ensemble see the same images; these were trained on images of "
            f"different size or normalisation: {', '.join(sorted(map(str, seen)))}."
        )
    device = find_device(settings.device)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    if settings.threads:
        torch.set_num_threads(settings.threads)
    models = []
    for member in chosen:  # before the images, which take longer
        model = build_model(member.settings)
        if not (ours := load_weights(model, member.weights)) or not member.trained_on:
            _say_how(member, ours=ours)
        models.append(model.to(device).to(memory_format=torch.channels_last))
    images = load_images(settings.data.source, Path(settings.data.folder))
    for member in chosen:
        check_fit(member.settings, images)
        if member.record and (seen_by := summary_of(member.record)["data"]) != images.fingerprint:
            print(
                f"{settings.data.source} is not what the run of {member.record} was tested on "
                f"({images.fingerprint}, not {seen_by}).",
                file=sys.stderr,
            )
    files = [member.weights for member in chosen]
    images = prepared_for(settings, images)
    mean, scale = (tensor.to(device) for tensor in _statistics(chosen[0], images))
    return Loaded(models, files, settings, images, device, mean, scale)
