"""A process that trains one run, or several side by side, with its output in a file."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from experiments.jobs import Job
from experiments.published import ROOT
from experiments.states import PROGRESS

TAIL_LINES = 5
FOLDERS = ("OUTPUT_DIR", "RESULTS_DIR", "DATA_DIR")
ENTRY = ("-m", "training.group_entry")


class Launched:
    """Runs under way in a process of their own.

    Args:
        jobs: to do, in order.
        device: the number of the GPU they share, or None to leave it to the process.
        at_once: most runs at the same time, or `auto`.
        log: file for what the process prints; it grows.
    """

    def __init__(self, jobs: Sequence[Job], device: str | None, at_once: str, log: Path):
        self.jobs, self.log = list(jobs), log
        self.hung = False
        self.signs, self.seen = tuple[float, ...](), time.monotonic()
        self.folder = Path(tempfile.mkdtemp(prefix="runs-"))
        listed = self.folder / "jobs.json"
        listed.write_text(json.dumps([job.arguments for job in jobs]), encoding="utf-8")
        self.noted = self.folder / "outcomes"
        command = [sys.executable, *ENTRY, "--at-once", at_once, "--outcomes", str(self.noted)]
        chosen = {} if device is None else {"CUDA_VISIBLE_DEVICES": device}
        # Folders that are named relative to here mean the same there.
        given = {k: str(Path(os.environ[k]).absolute()) for k in FOLDERS if k in os.environ}
        log.parent.mkdir(parents=True, exist_ok=True)
        with listed.open("rb") as file, log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | given | chosen,
                stdin=file,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a signal reaches it once, and only from here
            )

    def poll(self) -> int | None:
        """Its exit code, negative for a signal, or None while it lives."""
        return self.process.poll()

    def outcomes(self) -> dict[Job, tuple[int, str]]:
        """Exit code and reason of every job that has come to an end."""
        try:
            lines = self.noted.read_text(encoding="utf-8").splitlines()
        except OSError:
            return {}
        read = [json.loads(line) for line in lines]
        return {self.jobs[line["job"]]: (line["code"], line["reason"]) for line in read}

    def quiet_seconds(self) -> float:
        """Seconds since it was seen to write anything, by a clock that nobody sets."""
        paths = [self.log, *(job.working / PROGRESS for job in self.jobs)]
        signs = tuple(_changed(path) for path in paths)
        if signs != self.signs:
            self.signs, self.seen = signs, time.monotonic()
        return time.monotonic() - self.seen

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End it, and what it has started, at once."""
        self.hung = True
        os.killpg(self.process.pid, signal.SIGKILL)

    def tail(self) -> str:
        """The last lines it has printed."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join([line for line in lines if line.strip()][-TAIL_LINES:])

    def close(self) -> None:
        """Remove what was made to start it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
