"""Runs that have ended: whether a record is this run's, and its place among the results."""

from pathlib import Path
from typing import Any

from records.files import make_folder, write_atomically
from records.names import WEIGHTS, run_name
from records.record import CHECKSUM, RecordError, checksum, copy_record, summary_of
from training.runs.named import NamedRun
from training.settings.identity import recipe_hash, teacher_hash
from training.settings.settings import Settings
from training.settings.types import ConfigError

# Weights of seed 0 are shipped with the record up to this size.
SHIPPED_BYTES = 4 * 2**20


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


def ship(run: NamedRun) -> None:
    """Copy the record of a kept preset to the results, and with it the weights of seed 0, if they
    are small and of a row as it is."""
    if run.record == run.working:
        return
    weights = run.working / WEIGHTS
    small = weights.exists() and weights.stat().st_size <= SHIPPED_BYTES
    plain = run.name == run_name(run.experiment, (), run.settings.data.name, 0)
    if small and plain:
        make_folder(run.weights.parent)
        write_atomically(run.weights, weights.read_bytes())
    make_folder(run.record)
    copy_record(run.working, run.record)
