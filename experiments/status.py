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
from records.command import argument_parser, guarded
from records.lock import is_locked
from records.names import CHECKPOINTS, FAILURE, LOCK, outputs
from records.progress import progress_of
from records.record import is_finished
from records.schema import PRESETS

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
        if job not in planned and (line := _line(folder, job, width)):
            text.append(line)
    return text or [f"Nothing is being trained, and {outputs()} holds no unfinished runs."]


def on_disk() -> dict[Path, Job | None]:
    """The working folder of every run, of any preset, that has started but not finished, and its
    job; None for a run of no table's row, such as one on a data set of your own, or of a preset
    that no longer exists."""
    jobs = dict[Path, Job | None]()
    runs = outputs() / "runs"
    for pattern in (LOCK, CHECKPOINTS, FAILURE):
        for path in sorted(runs.rglob(pattern)):
            preset, _, run = path.parent.relative_to(runs).as_posix().partition("/")
            jobs[path.parent] = None
            if preset in PRESETS:
                with suppress(PlanError):
                    jobs[path.parent] = parse_run(run, preset)
    return jobs


def _line(folder: Path, job: Job | None, width: int | None) -> str:
    """The line of a run, or an empty string if it has ended or has yet to begin."""
    name = job.run if job else folder.relative_to(outputs() / "runs").as_posix()
    state = state_of(job) if job else _state(folder)
    progress, failure = progress_of(folder), failure_of(job) if job else None
    if state == "failed" and failure is not None:
        return f"failed  {name}: {failure.reason.splitlines()[0]}"
    if state in UNFINISHED and progress is not None:
        total = f"/{job.iterations:,}" if job else ""
        start = f"{UNFINISHED[state]} {progress.iteration:,}{total}  "
    elif state == "running" or (job and state in (*UNFINISHED, "failed")):
        start = f"{state}  "
    else:
        return ""
    return start + fitted(name, width, len(start))


def _state(folder: Path) -> str:
    """The state of a run that no plan knows."""
    if is_finished(folder):
        return "done"
    return "running" if is_locked(folder / LOCK) else "resumable"


if __name__ == "__main__":
    argument_parser(__doc__).parse_args()
    sys.exit(main())
