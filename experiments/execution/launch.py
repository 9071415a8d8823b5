"""A run under way: `train.py` in its own process, with its output in a file."""

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
LOOK_SECONDS = 1.0  # between checks of files for signs of life
ENTRY = ("train.py",)


class Launched:
    """A run in its own process.

    Args:
        device: the GPU to use, as in CUDA_VISIBLE_DEVICES; None leaves the choice to the run.
        options: more overrides of train.py.
        environment: variables added to those of this process.

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
        # Absolute, as its working directory may differ from that of this process.
        folders = {"OUTPUT_DIR": outputs(), "RESULTS_DIR": results()}
        if os.environ.get("DATA_DIR"):
            folders["DATA_DIR"] = datasets()
        given = {name: str(folder.absolute()) for name, folder in folders.items()}
        if device is not None:  # numbered as nvidia-smi numbers them
            given |= {"CUDA_VISIBLE_DEVICES": device, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        # Ask for the GPU explicitly: a run that cannot use it must not silently train on the CPU.
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
                start_new_session=True,  # terminal signals reach it only through this process
            )

    def poll(self) -> int | None:
        """Its exit code, negative for a signal, or None while it runs."""
        return self.process.poll()

    def quiet_seconds(self) -> float:
        """Seconds since it was last seen to write anything, by the monotonic clock."""
        now = time.monotonic()
        if now - self.looked > LOOK_SECONDS:
            self.looked = now
            signs = changed(self.log), last_sign(self.job.working)
            if signs != self.signs:
                self.signs, self.seen = signs, now
        return now - self.seen

    def wait_anew(self) -> None:
        """Count its silence from now, as what it is asked to do takes time."""
        self.seen = time.monotonic()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it and every process that it started."""
        self.hung = True
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def wait(self, seconds: float) -> None:
        """Wait for it to end, and kill it if it does not within `seconds`."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def reason(self, code: int) -> str:
        """Why it ended with an exit code, in one line."""
        if self.hung:
            return "no sign of life for too long, killed"
        if code == -signal.SIGKILL:
            return "killed (signal 9), often because memory ran out"
        if code < 0:
            return f"killed by signal {-code}"
        # Our errors take one to three lines; of a traceback, the last says most.
        last = [line for line in self.tail(3) if not line.startswith(self.job.run)]
        if not last:
            return f"exit code {code}"
        return last[-1 if any(line.startswith(" ") for line in last) else 0]

    def tail(self, count: int = TAIL_LINES) -> list[str]:
        """The last lines it printed, without blank ones."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        return [line for line in lines if line.strip()][-count:]
