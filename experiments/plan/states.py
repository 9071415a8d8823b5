"""The state of a run, read from its files alone."""

import json
from dataclasses import asdict, dataclass

from experiments.papers.conf import PlanError
from experiments.plan.jobs import Job
from records.files import no_pipe, write_atomically
from records.lock import is_locked
from records.names import CHECKPOINTS, FAILURE, LOCK
from records.record import RecordError, is_finished, status_of, summary_of

ENDED = ("done", "diverged")


@dataclass(frozen=True)
class Failure:
    """Why a run did not finish: its exit code, the reason, and the last lines of its log."""

    code: int
    reason: str
    log: str


def state_of(job: Job) -> str:
    """`done`, `diverged`, `running`, `failed`, `resumable` or `missing`.

    Raises:
        PlanError: the summary of the run is damaged.
    """
    if is_finished(job.finished):
        try:
            status = status_of(job.finished)
        except RecordError as error:
            raise PlanError(str(error)) from None
        # The process may still be busy after writing the record; that changes nothing.
        return "diverged" if status == "diverged" else "done"
    if is_locked(job.working / LOCK):
        return "running"
    if (job.working / FAILURE).exists():
        return "failed"
    return "resumable" if any(job.working.glob(CHECKPOINTS)) else "missing"


def test_error_of(job: Job) -> float | None:
    """Last test error of a finished run in percent, or None."""
    try:
        return float(summary_of(job.finished)["test_error"]["last"])
    except (RecordError, KeyError, TypeError, ValueError):
        return None


def failure_of(job: Job) -> Failure | None:
    """Why the last attempt at a run failed, or None if that is not known."""
    try:
        return Failure(**json.loads(no_pipe(job.working / FAILURE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def note_failure(job: Job, failure: Failure) -> None:
    """Record why a run failed, until it is tried again."""
    job.working.mkdir(parents=True, exist_ok=True)
    write_atomically(job.working / FAILURE, json.dumps(asdict(failure), indent=2))
