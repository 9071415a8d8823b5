"""The result of a test, and its place in the record whose weights were tested."""

import math
from collections.abc import Sequence
from pathlib import Path

from data.photographs.photographs import Photographs
from data.sets import load as load_images
from records.files import write_csv
from training.recipe.evaluate import evaluate
from training.recipe.run_data import test_split, workers
from training.settings.identity import digest
from training.settings.settings import EvalOptions
from training.settings.types import ConfigError
from training.weights.export import WeightsError, not_finite
from training.weights.members import Member, load_networks
from training.weights.protocols import Result, evaluate_photographs


def tested(chosen: Sequence[Member], options: EvalOptions) -> Result:
    """Test a network, or an ensemble on photographs, in float32.

    Raises:
        ConfigError: a protocol or an ensemble is asked for on images other than photographs.
        WeightsError, DataError: see `load_networks`.
    """
    views = options.protocol != "single" or options.crop or options.short
    if chosen[0].settings.recipe.crop == "pad" and (views or options.save or len(chosen) > 1):
        raise ConfigError("protocol, crop, save and ensembles are for photographs; leave them out.")
    loaded = load_networks(chosen)
    mean, scale = loaded.mean, loaded.scale
    images, settings = loaded.images, loaded.settings
    if isinstance(images, Photographs):
        result = evaluate_photographs(
            loaded.models, images.test, options.protocol, size=options.crop or settings.data.size,
            short=options.short, mean=mean, scale=scale, workers=workers(settings, loaded.device),
        )  # fmt: skip
    else:
        x, y = test_split(settings, images, loaded.device)
        loss, error = evaluate(loaded.models[0], x, y, mean=mean, scale=scale, bf16=False)
        result = Result(error, None, loss, len(x))
    if not math.isfinite(result.loss):
        raise WeightsError(not_finite(chosen[0].weights))
    return result


def record_to_save_in(chosen: Sequence[Member]) -> Path:
    """The folder of the record whose weights are tested or analysed.

    Raises:
        ConfigError: this is not a single record with its own weights.
    """
    folder = chosen[0].record
    if len(chosen) > 1 or folder is None:
        raise ConfigError(
            "save=true and analysis=... are for one finished record and its own weights: "
            "run=<folder>."
        )
    return folder


def save_result(result: Result, member: Member, folder: Path, options: EvalOptions) -> Path:
    """Save a test's result, with hashes of weights and photographs, and return the file."""
    parts = (options.protocol, options.crop, options.short)
    name = "_".join(str(part) for part in parts if part is not None)
    data = member.settings.data
    row = {
        "test_error": f"{result.top1:.4f}",
        "test_error_top5": f"{result.top5 or 0:.4f}",  # 0 where it says nothing
        "test_loss": f"{result.loss:.6f}",
        "images": result.images,
        "data": load_images(data.source, Path(data.folder)).fingerprint,
        "weights": digest(member.weights),
    }
    path = folder / f"{name}.csv"
    write_csv(path, [row])
    return path
