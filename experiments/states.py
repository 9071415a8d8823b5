"""Where a run stands, as its files say: nobody has to be asked."""

import fcntl
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments.jobs import Job, PlanError

# Names of files that a run under way keeps in its folder (see training/).
LOCK, PROGRESS, CHECKPOINTS = "lock", "progress.json", "checkpoint-*.pt"
FAILURE = "failure.json"
ENDED = ("done", "diverged")


@dataclass(frozen=True)
class Failure:
    """Why a run did not finish: its exit code, the reason, and the last lines of its log."""

    code: int
    reason: str
    log: str


@dataclass(frozen=True)
class Progress:
    """Where a run under way is.

    Attributes:
        iteration, last: iterations launched, and in all.
        seconds_left: to its end at its present speed, or None at its start.
        test_error: of the last evaluation, in percent, or None before it.
    """

    iteration: int
    last: int
    seconds_left: float | None
    test_error: float | None


def state_of(job: Job) -> str:
    """`done`, `diverged`, `running`, `failed`, `resumable` or `missing`.

    Raises:
        PlanError: the summary of the run is damaged.
    """
    summary = job.finished / "summary.json"
    if summary.exists():
        status = _status(summary)
        # A process may still be busy between the record and the end; that changes nothing.
        return "diverged" if status == "diverged" else "done"
    if is_locked(job.working / LOCK):
        return "running"
    if (job.working / FAILURE).exists():
        return "failed"
    return "resumable" if any(job.working.glob(CHECKPOINTS)) else "missing"


def is_locked(path: Path) -> bool:
    """Whether a live process holds a lock."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError:  # no locks on this file system, or not for us: whoever trains will say so
        return False
    return False


def progress_of(job: Job) -> Progress | None:
    """How far a run under way is, or None where nothing is known."""
    try:
        content: Any = json.loads((job.working / PROGRESS).read_text(encoding="utf-8"))
        iteration, last = int(content["iteration"]), int(content["last"])
        pace, error = content["seconds_per_iteration"], content["metrics"].get("test_error")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    left = None if pace is None else pace * (last - iteration)
    return Progress(iteration, last, left, error)


def test_error_of(job: Job) -> float | None:
    """Last test error of a finished run, in percent."""
    try:
        content = json.loads((job.finished / "summary.json").read_text(encoding="utf-8"))
        return float(content["test_error"]["last"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def failure_of(job: Job) -> Failure | None:
    """Why a run failed when it was tried last."""
    try:
        return Failure(**json.loads((job.working / FAILURE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def note_failure(job: Job, failure: Failure) -> None:
    """Keep why a run failed, until it is tried again."""
    job.working.mkdir(parents=True, exist_ok=True)
    (job.working / FAILURE).write_text(json.dumps(asdict(failure), indent=2), encoding="utf-8")


def forget_failure(job: Job) -> None:
    """A run is tried again."""
    (job.working / FAILURE).unlink(missing_ok=True)


def _status(summary: Path) -> str:
    try:
        return str(json.loads(summary.read_text(encoding="utf-8"))["status"])
    except (ValueError, KeyError, TypeError):
        raise PlanError(f"{summary} is damaged; restore or delete its folder.") from None
