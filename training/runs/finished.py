"""Runs that have ended: whether a record is this run's, and its place among the results."""

from pathlib import Path
from typing import Any

from records.files import make_folder, write_atomically
from records.names import WEIGHTS, record_folder, weights_file, working_folder
from records.record import CHECKSUM, RecordError, checksum, copy_record, summary_of
from training.settings.identity import recipe_hash, teacher_hash
from training.settings.settings import Settings
from training.settings.types import ConfigError

# Weights of seed 0 are shipped with the record up to this size.
SHIPPED_BYTES = 4 * 2**20


def folders(settings: Settings, name: str) -> tuple[Path, Path]:
    """The folder in which a run is trained, and that of its record once it has ended; the same one
    for a preset whose records are not kept."""
    outputs, results = Path(settings.output_dir), Path(settings.results_dir)
    preset = settings.preset.name
    return working_folder(outputs, preset, name), record_folder(outputs, results, preset, name)


def check_same(settings: Settings, folder: Path, processes: int = 1) -> dict[str, Any]:
    """Return the summary of a record; reject one of another configuration than this run's.

    Args:
        processes: how many share the run. Several normalise over their parts of a batch, which
            gives another result; a single process accepts any such record.

    Raises:
        ConfigError: the record in the folder is of another configuration.
        RecordError: it cannot be read, or was changed.
    """
    summary, teacher = summary_of(folder), teacher_hash(settings)
    if summary.get(CHECKSUM) != checksum(folder, summary):
        raise RecordError(
            f"{folder}: one of its files was changed after it was written.\n"
            "Restore it (`git checkout` does if it is committed), or move it away to train it anew."
        )
    another = teacher is not None and summary.get("teacher") != teacher
    if summary.get("recipe") != recipe_hash(settings) or another:
        what = "teacher" if another else "configuration"
        raise ConfigError(
            f"{folder} holds a finished run with another {what} (see its config.yaml).\n"
            "Move it away, or set the configuration back."
        )
    part, seen = settings.recipe.batch // processes, summary.get("bn_batch")
    if processes > 1 and seen not in (part, None):
        raise ConfigError(
            f"{folder} holds a finished run whose normalisation saw {seen} images at once; with "
            f"{processes} processes it sees {part}.\n"
            "Move it away, or set OUTPUT_DIR and RESULTS_DIR to other folders."
        )
    return summary


def ship(settings: Settings, name: str) -> None:
    """Copy the record of a kept preset, and small weights of seed 0, to the results."""
    working, record = folders(settings, name)
    if record == working:
        return
    weights = working / WEIGHTS
    small = weights.exists() and weights.stat().st_size <= SHIPPED_BYTES
    if small and settings.seed == 0:
        target = weights_file(Path(settings.results_dir), settings.preset.name, name)
        make_folder(target.parent)
        write_atomically(target, weights.read_bytes())
    make_folder(record)
    copy_record(working, record)
