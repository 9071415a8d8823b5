"""The live line of a run: iteration, losses, errors, images per second, time left."""

import os
import signal
import sys
import time
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from records.record import Row
from records.words import duration


class Terminal(Console):
    """A console whose reader may leave, as `head` does: that is like a closed terminal."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        signal.raise_signal(signal.SIGHUP)


class ProgressLine:
    """Shows a run's progress: a live line on a terminal, a plain line per evaluation elsewhere.

    Args:
        name: of the run.
        batch: images per iteration.
        start, last: iterations done so far, and at the run's end.
    """

    def __init__(self, name: str, batch: int, start: int, last: int):
        self.name, self.batch, self.start, self.last = name, batch, start, last
        self.console = Terminal(highlight=False)
        self.live = self.console.is_terminal
        self.bar = Progress(
            BarColumn(bar_width=7),
            TextColumn("{task.completed:.0f}/{task.total:.0f}{task.fields[metrics]}"),
            TextColumn("{task.fields[speed]:,.0f} img/s"),
            TextColumn("{task.fields[left]} left"),
            console=self.console,
            refresh_per_second=4,
        )
        self.task: TaskID | None = None

    def __enter__(self) -> "ProgressLine":
        self.begin = time.monotonic()
        if self.live:
            # Too long for the live line.
            since = f", from iteration {self.start} on" if self.start else ""
            self.console.print(f"{self.name} (train/test){since}", soft_wrap=True)
            self.bar.start()
            self.task = self.bar.add_task(
                self.name, total=self.last, completed=self.start,
                metrics="", speed=0, left="-:--:--",
            )  # fmt: skip
        else:
            self.line(f"iteration {self.start} of {self.last}")
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.bar.stop()

    def advance(self, iteration: int) -> None:
        """Show that an iteration was launched."""
        if self.task is not None:
            left = timedelta(seconds=round(self.seconds_left(iteration)))
            self.bar.update(
                self.task, completed=iteration, speed=self.speed(iteration), left=str(left)
            )

    def evaluated(self, row: Row) -> None:
        """Show the metrics of an evaluation."""
        iteration = int(row["iteration"])
        if self.task is not None:
            losses = f"loss {row['train_loss']:.2f}/{row['test_loss']:.2f}"
            errors = f"error {row['train_error']:.1f}/{row['test_error']:.1f} %"
            self.bar.update(self.task, metrics=f" {losses} {errors}")
            return
        errors = f"error {row['train_error']:.2f} train, {row['test_error']:.2f} % test"
        metrics = f"  loss {row['train_loss']:.3f} train, {row['test_loss']:.3f} test  {errors}"
        speed, left = self.speed(iteration), duration(self.seconds_left(iteration))
        self.line(f"{iteration:,}/{self.last:,}{metrics}  {speed:,.0f} img/s, {left} left")

    def line(self, text: str) -> None:
        """Print a plain line about this run."""
        self.console.print(f"{self.name}: {text}", soft_wrap=True)

    def speed(self, iteration: int) -> float:
        """Images per second since this process began, evaluations included."""
        elapsed = time.monotonic() - self.begin
        return (iteration - self.start) * self.batch / elapsed if elapsed > 0 else 0.0

    def seconds_left(self, iteration: int) -> float:
        """Seconds to the end at `speed`, in which evaluations count in proportion."""
        speed = self.speed(iteration)
        return (self.last - iteration) * self.batch / speed if speed else 0.0
