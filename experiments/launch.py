"""A process that trains one run, or several side by side, with its output in a file."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from experiments.folders import output_folder, result_folder
from experiments.jobs import Job
from experiments.published import ROOT
from experiments.states import LOCK, PROGRESS

TAIL_LINES = 5
LOOK_SECONDS = 1.0  # between looks at files that are signs of life
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
        self.heard = set[Job]()  # whose outcome is known
        self.hung = False
        self.signs, self.seen, self.looked = tuple[float, ...](), time.monotonic(), 0.0
        log.parent.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="runs-"))
        try:
            self.process = self.launch(device, at_once)
        except BaseException:
            self.close()
            raise

    def launch(self, device: str | None, at_once: str) -> subprocess.Popen[bytes]:
        """Start the process."""
        listed, self.noted = self.folder / "jobs.json", self.folder / "outcomes"
        listed.write_text(json.dumps([job.arguments for job in self.jobs]), encoding="utf-8")
        command = [sys.executable, *ENTRY, "--at-once", at_once, "--outcomes", str(self.noted)]
        # It starts in another folder than this process may be in.
        folders = {"OUTPUT_DIR": output_folder(), "RESULTS_DIR": result_folder()}
        if "DATA_DIR" in os.environ:
            folders["DATA_DIR"] = Path(os.environ["DATA_DIR"])
        given = {name: str(folder.absolute()) for name, folder in folders.items()}
        chosen = {} if device is None else {"CUDA_VISIBLE_DEVICES": device}
        with listed.open("rb") as file, self.log.open("ab") as output:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | given | chosen,
                stdin=file,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's signals reach it from here only
            )

    def poll(self) -> int | None:
        """Its exit code, negative for a signal, or None while it lives."""
        return self.process.poll()

    def news(self) -> list[tuple[Job, tuple[int, str]]]:
        """Exit code and reason of every job that has come to an end since this was asked last."""
        try:
            lines = self.noted.read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        fresh = []
        for line in lines:
            with suppress(ValueError, KeyError):  # half a line is whole the next time
                read = json.loads(line)
                job, outcome = self.jobs[read["job"]], (read["code"], read["reason"])
                if job not in self.heard:
                    self.heard.add(job)
                    fresh.append((job, outcome))
        return fresh

    def quiet_seconds(self) -> float:
        """Seconds since it was seen to write anything, by a clock that nobody sets."""
        now = time.monotonic()
        if now - self.looked > LOOK_SECONDS:
            self.looked = now
            own = [
                job for job in self.jobs if owner(job) == (socket.gethostname(), self.process.pid)
            ]
            signs = tuple(_changed(path) for path in [self.log, *(progress(job) for job in own)])
            if signs != self.signs:
                self.signs, self.seen = signs, now
        return now - self.seen

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End it, and what it has started, at once."""
        self.hung = True
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def wait(self, seconds: float) -> None:
        """Wait for its end, and bring it about where it does not come."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

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


def owner(job: Job) -> tuple[str, int] | None:
    """Host and process that hold the lock of a run, as the lock says."""
    try:
        said = json.loads((job.working / LOCK).read_text(encoding="utf-8"))
        return str(said["host"]), int(said["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def progress(job: Job) -> Path:
    """The file in which a run says where it is."""
    return job.working / PROGRESS


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
