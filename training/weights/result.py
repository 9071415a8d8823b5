"""The result of a test, saved in the record whose weights were tested."""

from collections.abc import Sequence
from pathlib import Path

from data.sets import load as load_images
from records.files import write_csv
from records.record import summary_of
from training.settings.identity import digest
from training.settings.settings import EvalOptions
from training.settings.types import ConfigError
from training.weights.ensemble import Member
from training.weights.protocols import Result


def record_to_save_in(chosen: Sequence[Member]) -> Path:
    """The folder of the record whose weights are tested or analysed.

    Raises:
        ConfigError: this is not a single record with its own weights.
    """
    folder = chosen[0].record
    if len(chosen) > 1 or folder is None:
        raise ConfigError(
            "save=true and analysis=... are for one record and its own weights: run=<folder>."
        )
    if summary_of(folder).get("weights") != digest(chosen[0].weights):
        raise ConfigError(
            f"{chosen[0].weights} is not the weights file recorded in {folder}, so its result does "
            "not belong there."
        )
    return folder


def save_result(result: Result, member: Member, folder: Path, options: EvalOptions) -> Path:
    """Save a test's result, with hashes of weights and photographs, and return the file."""
    parts = (options.protocol, options.crop, options.short)
    name = "_".join(str(part) for part in parts if part is not None)
    data = member.settings.data
    row = {
        "test_error": f"{result.top1:.4f}",
        "test_error_top5": f"{result.top5:.4f}",
        "test_loss": f"{result.loss:.6f}",
        "images": result.images,
        "data": load_images(data.source, Path(data.folder)).fingerprint,
        "weights": digest(member.weights),
    }
    path = folder / f"{name}.csv"
    write_csv(path, [row])
    return path
