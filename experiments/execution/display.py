"""Progress of a plan under way: a line for every event, and how far the runs are."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.text import Text

from experiments.plan.jobs import Job
from experiments.plan.plan import Entry
from experiments.plan.states import ENDED, state_of, test_error_of
from experiments.tables.terminal import LEAST, shortened
from records.progress import Progress, progress_of
from records.words import duration

LIVE_SECONDS, PLAIN_SECONDS = 1.0, 60.0


class Display:
    """The progress display of a plan: live on a terminal, once a minute elsewhere."""

    def __init__(self, plan: Sequence[Entry]):
        self.plan = plan
        self.console = Console(highlight=False, soft_wrap=True)
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self.seconds = LIVE_SECONDS if self.console.is_terminal else PLAIN_SECONDS
        self.due = 0.0 if self.console.is_terminal else time.monotonic() + PLAIN_SECONDS

    def __enter__(self) -> "Display":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self.live.stop()

    def say(self, text: str) -> None:
        """Print lines that stay above the live display."""
        self.console.print(text, markup=False)

    def started(self, job: Job) -> None:
        """Report that a run was started."""
        number = [entry.job for entry in self.plan].index(job) + 1
        self.say(f"[{number}/{len(self.plan)}] {job.run}")

    def finished(self, job: Job) -> None:
        """Report how a run has ended, with its test error."""
        error = test_error_of(job)
        result = "" if error is None else f", test error {error:.2f} %"
        self.say(f"{job.run}: {state_of(job)}{result}")

    def refresh(self) -> None:
        """Show how far the runs are, if an update is due."""
        if time.monotonic() < self.due:
            return
        self.due = time.monotonic() + self.seconds
        if self.console.is_terminal:
            lines = progress_lines(self.plan, self.console.width)
            text = Text("\n".join(lines), no_wrap=True, overflow="ellipsis")
            self.live.update(text, refresh=True)
        else:
            self.say("\n".join(progress_lines(self.plan)))


def progress_lines(plan: Sequence[Entry], width: int | None = None) -> list[str]:
    """A line for every run under way, and one for the whole plan.

    Args:
        width: maximum characters per line, or None for no limit.
    """
    states = {entry.job: state_of(entry.job) for entry in plan}
    running = sum(state == "running" for state in states.values())
    lines, left = [], 0.0
    for entry in plan:
        if states[entry.job] in ENDED:
            continue
        progress = progress_of(entry.job.working) if states[entry.job] == "running" else None
        seconds = entry.seconds
        if progress is not None:
            seconds = seconds_left(entry, progress)
            start = f"{how_far(entry.job, progress, seconds)}  "
            lines.append(start + fitted(entry.job.run, width, len(start)))
        left += seconds
    done = sum(state in ENDED for state in states.values())
    total = f"{done} of {len(plan)} done, {running} running"
    if left:
        total += f"; about {duration(left / max(1, running))} left"
    return [*lines, total]


def fitted(run: str, width: int | None, before: int) -> str:
    """The name of a run, shortened to fit a line of `width` after `before` other characters."""
    return run if width is None else shortened(run, max(LEAST, width - before))


def seconds_left(entry: Entry, progress: Progress) -> float:
    """Seconds to the end of a run at its measured pace, or the planned one until that is known."""
    left = entry.job.iterations - progress.iteration
    pace = progress.pace or entry.seconds / entry.job.iterations
    return pace * left


def how_far(job: Job, progress: Progress, seconds: float) -> str:
    """A run's iteration, last test error and time left, in columns of fixed width."""
    error = "" if progress.test_error is None else f"{progress.test_error:.2f} %"
    where = f"{progress.iteration:,}/{job.iterations:,}"
    return f"{where:>15}  {error:>7}  {duration(seconds):>8} left"
