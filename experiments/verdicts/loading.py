"""Load records from results/runs or outputs/runs; those that are damaged or misplaced are named."""

import json
import sys
from pathlib import Path

from experiments.verdicts.records import RunRecord
from records.files import no_pipe
from records.names import SUMMARY, runs_folder
from records.record import CHECKSUM, VERSION, RecordError, checksum
from records.schema import mistake


def load(folder: Path) -> RunRecord:
    """Load the record in a folder.

    Raises:
        RecordError: the record is missing, damaged, changed or of another version.
    """
    path = folder / SUMMARY
    try:
        summary = json.loads(no_pipe(path).read_text(encoding="utf-8"))
        if summary["version"] != VERSION:
            raise ValueError(f"version {ascii(summary['version'])[:20]}")
        if fault := mistake(summary):
            raise ValueError(fault)
        if summary.get(CHECKSUM) != checksum(folder, summary):
            raise ValueError("one of its files was changed after it was written")
        record = RunRecord(folder, summary)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise RecordError(
            f"{path} is missing, damaged or of another version ({reason}).\n"
            "Restore the folder from git, or delete it and train the run again."
        ) from None
    return record


def records_of(preset: str) -> list[RunRecord]:
    """Load every intact record of a preset; report the others on stderr."""
    return load_all(runs_folder(preset), preset)


def load_all(runs: Path, preset: str | None = None) -> list[RunRecord]:
    """Load the intact records under a folder, by row and seed; report the others on stderr."""
    records, faults = survey(runs, preset)
    for fault in faults:
        print(f"Left out: {fault}", file=sys.stderr)
    return records


def survey(runs: Path, preset: str | None = None) -> tuple[list[RunRecord], list[RecordError]]:
    """Load the intact records under a folder, by row and seed, and the faults of the others:
    damaged, of another version, without metrics, in another run's folder or, if `preset` is given,
    of another preset."""
    records, faults = list[RunRecord](), list[RecordError]()
    for path in sorted(runs.rglob(SUMMARY)):
        try:
            record = load(path.parent)
            record.metrics()
            check_place(record, runs, preset)
        except RecordError as error:
            faults.append(error)
        else:
            records.append(record)
    records.sort(key=lambda record: (record.experiment, record.dataset, record.seed))
    return records, faults


def check_place(record: RunRecord, runs: Path, preset: str | None = None) -> None:
    """Raise a RecordError for a record in the folder of another run or preset."""
    if preset not in (None, record.preset):
        raise RecordError(
            f"{record.folder} holds a run of preset {record.preset}; move it to "
            f"{runs_folder(record.preset) / record.run}."
        )
    if record.folder.relative_to(runs).as_posix() != record.run:
        raise RecordError(
            f"{record.folder} holds the record of {record.run}; move it to {runs / record.run}."
        )
