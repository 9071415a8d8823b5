"""Plans under way, each in a small file, so that another shell can show how far they are."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from experiments.papers.conf import PlanError
from experiments.plan.jobs import Job, parse_run
from records.lock import is_locked
from records.names import outputs


@contextmanager
def registered(title: str, jobs: Sequence[Job]) -> Iterator[None]:
    """Let other processes see this plan while entered; that of a dead process is forgotten."""
    path = _folder() / f"{socket.gethostname()}-{os.getpid()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    unseen = path.with_suffix(".new")  # or a reader would take it for that of a dead process
    with unseen.open("w", encoding="utf-8") as file:
        with suppress(OSError):  # without file locks it is forgotten at once
            fcntl.flock(file, fcntl.LOCK_EX)
        preset = jobs[0].preset if jobs else ""
        json.dump({"title": title, "preset": preset, "runs": [job.run for job in jobs]}, file)
        file.flush()
        unseen.replace(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def under_way() -> list[tuple[str, list[Job]]]:
    """Title and jobs of every plan under way."""
    return [sweep for path in sorted(_folder().glob("*.json")) if (sweep := _read(path))]


def _read(path: Path) -> tuple[str, list[Job]] | None:
    if not is_locked(path):
        path.unlink(missing_ok=True)
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        jobs = [parse_run(run, content["preset"]) for run in content["runs"]]
        return str(content["title"]), jobs
    except (OSError, ValueError, KeyError, TypeError, PlanError):
        return None  # just being written, or of another version


def _folder() -> Path:
    return outputs() / "sweeps"
