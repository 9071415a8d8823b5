"""Show which runs are training, stopped or failed: `make status`, from any shell."""

import sys
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from experiments.execution.display import fitted, progress_lines
from experiments.execution.sweeps import under_way
from experiments.papers.conf import PlanError
from experiments.plan.jobs import Job, parse_run
from experiments.plan.plan import make_plan
from experiments.plan.states import failure_of, state_of
from records.command import guarded
from records.lock import is_locked
from records.names import CHECKPOINTS, FAILURE, LOCK, outputs
from records.progress import progress_of
from records.record import is_finished

UNFINISHED = {"running": "running,", "resumable": "stopped at"}


@guarded
def main() -> int:
    """Exit code: 0, or 2 if a record is damaged."""
    console = Console()
    print("\n".join(lines(console.width if console.is_terminal else None)))
    return 0


def lines(width: int | None = None) -> list[str]:
    """Every plan under way with its runs; then running, stopped and failed runs of no plan.

    Args:
        width: maximum characters per line, or None for no limit.
    """
    text, planned = list[str](), set[Job]()
    for title, jobs in under_way():
        planned |= set(jobs)
        text += [title, *progress_lines(make_plan(jobs), width)]
    for folder, job in on_disk().items():
        if job not in planned and (line := _line(job, width) if job else _own(folder, width)):
            text.append(line)
    return text or [f"Nothing is being trained, and {outputs()} holds no unfinished runs."]


def on_disk() -> dict[Path, Job | None]:
    """The working folder of every run, of any preset, that has started but not finished, and its
    job; None for a run of no table's row, such as one on a data set of your own."""
    jobs = dict[Path, Job | None]()
    runs = outputs() / "runs"
    for pattern in (LOCK, CHECKPOINTS, FAILURE):
        for path in sorted(runs.rglob(pattern)):
            preset, _, run = path.parent.relative_to(runs).as_posix().partition("/")
            jobs[path.parent] = None
            with suppress(PlanError):
                jobs[path.parent] = parse_run(run, preset)
    return jobs


def _line(job: Job, width: int | None) -> str:
    state = state_of(job)
    progress, failure = progress_of(job.working), failure_of(job)
    if state in UNFINISHED and progress is not None:
        start = f"{UNFINISHED[state]} {progress.iteration:,}/{job.iterations:,}  "
        return start + fitted(job.run, width, len(start))
    if state == "failed" and failure is not None:
        return f"failed  {job.run}: {failure.reason.splitlines()[0]}"
    if state not in (*UNFINISHED, "failed"):
        return ""
    return f"{state}  {fitted(job.run, width, len(state) + 2)}"


def _own(folder: Path, width: int | None) -> str:
    """The line of a run that no plan knows."""
    progress = progress_of(folder)
    if is_finished(folder) or progress is None:
        return ""
    state = UNFINISHED["running" if is_locked(folder / LOCK) else "resumable"]
    start = f"{state} {progress.iteration:,}  "
    return start + fitted(folder.relative_to(outputs() / "runs").as_posix(), width, len(start))


if __name__ == "__main__":
    sys.exit(main())
