"""The result of a test, noted in the record whose weights were tested."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.sets import load as load_images
from training.analysis import write
from training.evaluation import Member
from training.export import digest
from training.finished import summary_of
from training.protocols import Result
from training.settings import ConfigError


def record_to_save_in(save: Any, chosen: Sequence[Member]) -> Path | None:
    """The folder of the record that is tested, or None where nothing is to be saved.

    Raises:
        ConfigError: it is not one record with its own weights.
    """
    if not isinstance(save, bool):
        raise ConfigError(f"save={save} is neither true nor false.")
    if not save:
        return None
    folder = chosen[0].record
    if len(chosen) > 1 or folder is None:
        raise ConfigError("save=true is for one record and its own weights: run=<folder>.")
    if summary_of(folder).get("weights") != digest(chosen[0].weights):
        raise ConfigError(
            f"{chosen[0].weights} is not the file that {folder} tells of, so the result is not its."
        )
    return folder


def save_result(
    found: Result, member: Member, folder: Path, protocol: str, crop: int | None, short: int | None
) -> Path:
    """Note what a test found, of which weights and photographs; returns the file."""
    name = "_".join(str(part) for part in (protocol, crop, short) if part is not None)
    data = member.settings.data
    row = {
        "test_error": f"{found.top1:.4f}",
        "test_error_top5": f"{found.top5:.4f}",
        "test_loss": f"{found.loss:.6f}",
        "images": found.images,
        "data": load_images(data.source, Path(data.folder)).fingerprint,
        "weights": digest(member.weights),
    }
    path = folder / f"{name}.csv"
    write([row], path)
    return path
