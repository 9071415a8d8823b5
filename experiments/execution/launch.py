"""A run under way: `train.py` in a process of its own, with its output in a file."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from experiments.plan.jobs import Job
from records.files import ROOT
from records.names import datasets, outputs, results
from records.progress import changed, last_sign

TAIL_LINES = 5
LOOK_SECONDS = 1.0  # between looks at files that are signs of life
ENTRY = ("train.py",)


class Launched:
    """A run in a process of its own.

    Args:
        device: the GPU it has to use, as CUDA_VISIBLE_DEVICES names it; None leaves it to the run.
        options: more of what train.py is told.
        environment: more of it.

    Attributes:
        hung: whether it was killed for giving no sign of life.
    """

    def __init__(
        self,
        job: Job,
        device: str | None,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ):
        self.job, self.device, self.hung = job, device, False
        self.log = job.working / "log.txt"
        self.signs, self.seen, self.looked = (0.0, 0.0), time.monotonic(), 0.0
        # It starts in another folder than this process may be in.
        folders = {"OUTPUT_DIR": outputs(), "RESULTS_DIR": results()}
        if os.environ.get("DATA_DIR"):
            folders["DATA_DIR"] = datasets()
        given = {name: str(folder.absolute()) for name, folder in folders.items()}
        if device is not None:  # numbered as nvidia-smi numbers them
            given |= {"CUDA_VISIBLE_DEVICES": device, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        # A GPU is asked for by name: a run that cannot use it must not go to the CPU in silence.
        asked = [] if device is None else ["device=cuda"]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *ENTRY, *job.arguments, *asked, *options],
                cwd=ROOT,
                env=os.environ | given | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's signals reach it from here only
            )

    def poll(self) -> int | None:
        """Its exit code, negative for a signal, or None while it lives."""
        return self.process.poll()

    def quiet_seconds(self) -> float:
        """Seconds since it was seen to write anything, by a clock that nobody sets."""
        now = time.monotonic()
        if now - self.looked > LOOK_SECONDS:
            self.looked = now
            signs = changed(self.log), last_sign(self.job.working)
            if signs != self.signs:
                self.signs, self.seen = signs, now
        return now - self.seen

    def wait_anew(self) -> None:
        """Count its silence from now: it is asked for something that takes time."""
        self.seen = time.monotonic()

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

    def reason(self, code: int) -> str:
        """Why it ended with an exit code, in a line."""
        if self.hung:
            return "no sign of life for too long, killed"
        if code == -signal.SIGKILL:
            return "killed (signal 9), as when memory runs out"
        if code < 0:
            return f"killed by signal {-code}"
        # An error has one to three lines; of a traceback the last one says most.
        last = [line for line in self.tail(3) if not line.startswith(self.job.run)]
        if not last:
            return f"exit code {code}"
        return last[-1 if any(line.startswith(" ") for line in last) else 0]

    def tail(self, count: int = TAIL_LINES) -> list[str]:
        """The last lines it has printed."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        return [line for line in lines if line.strip()][-count:]
