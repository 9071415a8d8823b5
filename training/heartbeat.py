"""Where a run is, in a small file beside its checkpoints, for `make status` and who started it."""

import json
import os
import time
from contextlib import suppress
from pathlib import Path

from training.record import Row, finite

NAME = "progress.json"
EVERY_SECONDS = 5.0


class Heartbeat:
    """Writes the file, at most every few seconds.

    Args:
        folder: of the run.
        start, last: iterations done already, and at its end.
    """

    def __init__(self, folder: Path, start: int, last: int):
        self.path = folder / NAME
        self.start, self.last = start, last
        self.begin = time.monotonic()
        self.due = self.begin
        self.row: Row = {}

    def beat(self, iteration: int) -> None:
        """Say that an iteration was launched."""
        if time.monotonic() >= self.due:
            self.write(iteration)

    def evaluated(self, row: Row) -> None:
        """Say what an evaluation gave."""
        self.row = row
        self.write(int(row["iteration"]))

    def write(self, iteration: int) -> None:
        """Replace the file; a run does not fail for it."""
        now = time.monotonic()
        self.due = now + EVERY_SECONDS
        done = iteration - self.start
        content = {
            "iteration": iteration,
            "last": self.last,
            "seconds_per_iteration": (now - self.begin) / done if done else None,
            "metrics": self.row,
        }
        temporary = self.path.with_name(f"{NAME}.tmp")
        with suppress(OSError):
            temporary.write_text(json.dumps(finite(content)))
            os.replace(temporary, self.path)

    def end(self) -> None:
        """Remove the file: the run is over, or nobody works on it."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
            self.path.with_name(f"{NAME}.tmp").unlink(missing_ok=True)
