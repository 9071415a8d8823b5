"""What is seen of a plan that is carried out: a line for every event, and where the runs are."""

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from experiments.jobs import Job
from experiments.plan import Entry, duration
from experiments.states import ENDED, progress_of, state_of, test_error_of

LIVE_SECONDS, PLAIN_SECONDS = 1.0, 60.0


class Display:
    """Live on a terminal, a few lines a minute elsewhere.

    Args:
        plan: what was planned.
    """

    def __init__(self, plan: Sequence[Entry]):
        self.plan = plan
        self.console = Console(highlight=False, soft_wrap=True)
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self.due = time.monotonic() + PLAIN_SECONDS
        if self.console.is_terminal:
            self.due = 0.0

    def __enter__(self) -> "Display":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self.live.stop()

    def say(self, text: str) -> None:
        """Print lines that stay."""
        self.console.print(text, markup=False)

    def started(self, jobs: Sequence[Job]) -> None:
        """Runs were given to a process."""
        if len(jobs) == 1:
            number = [entry.job for entry in self.plan].index(jobs[0]) + 1
            self.say(f"[{number}/{len(self.plan)}] {jobs[0].run}")
        else:
            self.say(f"{len(jobs)} runs, side by side where they fit")

    def finished(self, job: Job) -> None:
        """A run has ended by itself."""
        error = test_error_of(job)
        self.say(f"{job.run}: {state_of(job)}" + (f", {error:.2f} %" if error is not None else ""))

    def refresh(self) -> None:
        """Show where the runs are, if it is time to."""
        if time.monotonic() < self.due:
            return
        lines = progress_lines(self.plan)
        if self.console.is_terminal:
            self.due = time.monotonic() + LIVE_SECONDS
            self.live.update(Text("\n".join(lines)), refresh=True)
        else:
            self.due = time.monotonic() + PLAIN_SECONDS
            self.say("\n".join(lines))


def progress_lines(plan: Sequence[Entry]) -> list[str]:
    """A line for every run under way, and one for all together."""
    states = {entry.job: state_of(entry.job) for entry in plan}
    running = [entry for entry in plan if states[entry.job] == "running"]
    lines, left = [], 0.0
    for entry in plan:
        if states[entry.job] in ENDED:
            continue
        progress = progress_of(entry.job) if entry in running else None
        seconds = entry.seconds
        if progress is not None and progress.seconds_left is not None:
            seconds = progress.seconds_left
        left += seconds
        if progress is not None:
            error = (
                f"{progress.test_error:6.2f} %" if progress.test_error is not None else "       -"
            )
            lines.append(
                f"  {entry.job.run}  {progress.iteration:,} of {progress.last:,}  {error}  "
                f"{duration(seconds)} left"
            )
    done = sum(state in ENDED for state in states.values())
    total = f"{done} of {len(plan)} done, {len(running)} running"
    if left:
        total += f"; about {duration(left / max(1, len(running)))} left"
    return [*lines, total]
