"""Carry out a plan: each run in a process of its own, or side by side on a GPU; several GPUs share
the work, and so do several of these programs on one folder. A failure stops no other run."""

import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from experiments.display import Display
from experiments.estimate import disk_bytes
from experiments.folders import output_folder
from experiments.jobs import Job
from experiments.launch import Launched
from experiments.machine import free_bytes
from experiments.states import ENDED, Failure, forget_failure, note_failure, state_of

# Exit codes of a run (training/entry.py).
BAD_CONFIG, BAD_DATA, DIVERGED, BUSY, FULL, PREEMPTED, INTERRUPTED = 2, 3, 4, 69, 74, 75, 130
# Exit codes of a plan that was asked to stop; a run ends with the same ones.
STOPPED = {signal.SIGTERM: 75, signal.SIGUSR1: 75, signal.SIGINT: 130}
RETRIES = 2  # of a run that died or raised; it goes on from its checkpoint
DEATHS = 2  # of processes with several runs, before the runs go on one by one
PATIENCE = 1800.0  # seconds without a sign of life, after which a process is killed
POLL_SECONDS = 0.2
SPARE_BYTES = 200e6  # that must be free before a plan goes on after the disk was full


@dataclass
class Worker:
    """What one device does: a GPU by its number, or None for whatever there is."""

    device: str | None
    number: int
    launched: Launched | None = None


@dataclass
class Execution:
    """A plan that is carried out.

    Args:
        jobs: to do, in order; what has ended already is skipped.
        devices: one worker each.
        at_once: most runs side by side on a device, or `auto`; `1` gives each its own process.
        minutes: after which everything is saved and stops, or None.
        patience: seconds without a sign of life after which a process is killed.

    Attributes:
        failures: of every run that was given up.
        stopped: 75 or 130 if something asked to stop, else 0.
    """

    jobs: Sequence[Job]
    devices: Sequence[str | None]
    at_once: str
    display: Display
    minutes: float | None = None
    patience: float = PATIENCE
    failures: dict[Job, Failure] = field(default_factory=dict)
    stopped: int = 0
    deaths: int = 0
    needed: float = 0.0  # bytes that a full disk must have free before the plan goes on
    tries: Counter[Job] = field(default_factory=Counter)

    def run(self) -> None:
        """Do what can be done."""
        self.workers = [Worker(device, number) for number, device in enumerate(self.devices)]
        deadline = time.monotonic() + 60 * self.minutes if self.minutes is not None else None
        with self.signals(), self.display:
            while self.step():
                if deadline is not None and time.monotonic() > deadline and not self.stopped:
                    self.display.say("Time is up; the runs save and stop.")
                    self.stop(signal.SIGTERM)
                self.display.refresh()
                time.sleep(POLL_SECONDS)

    def step(self) -> bool:
        """See off what has ended, and start what can; whether anything is under way."""
        for worker in self.workers:
            launched = worker.launched
            if launched is not None and launched.poll() is not None:
                self.ended(launched)
                worker.launched = None
            elif launched is not None and launched.quiet_seconds() > self.patience:
                launched.kill()
            if worker.launched is None and not self.stopped and not self.paused():
                self.start(worker)
        busy = any(worker.launched for worker in self.workers)
        return busy or (self.needed > 0 and not self.stopped)

    def start(self, worker: Worker) -> None:
        """Give a worker what is left for it, if anything is."""
        mine = {job for other in self.workers if other.launched for job in other.launched.jobs}
        together = self.at_once != "1" and self.deaths < DEATHS
        left = [job for job in self.jobs if self.is_open(job) and (together or job not in mine)]
        if not left:
            return
        if together:
            # Each begins elsewhere; the lock of a run says who trains it.
            first = worker.number * len(left) // len(self.workers)
            batch, log = [*left[first:], *left[:first]], f"device{worker.device or ''}.txt"
            path, at_once = output_folder() / "logs" / log, self.at_once
        else:
            batch, path, at_once = left[:1], left[0].working / "log.txt", "1"
        for job in batch:
            forget_failure(job)
        self.display.started(batch)
        worker.launched = Launched(batch, worker.device, at_once, path)

    def is_open(self, job: Job) -> bool:
        """Whether a run waits to be done, and nobody is at it."""
        return job not in self.failures and state_of(job) not in (*ENDED, "running")

    def ended(self, launched: Launched) -> None:
        """Judge what became of the runs of a process that has ended."""
        code, outcomes = launched.poll() or 0, launched.outcomes()
        for job, (outcome, reason) in outcomes.items():
            self.judge(job, outcome, reason, launched)
        without = [job for job in launched.jobs if job not in outcomes]
        if code in STOPPED.values():
            self.stopped = self.stopped or code
        elif without and not self.stopped:
            reason = _reason(code, launched.hung)
            if len(launched.jobs) == 1:
                self.judge(without[0], code or 1, reason, launched)
            else:
                self.deaths += 1
                self.display.say(f"A process ended: {reason}; {len(without)} runs go on.")
        launched.close()

    def judge(self, job: Job, code: int, reason: str, launched: Launched) -> None:
        """Note what became of a run: give it up, or let it be tried again."""
        if code in (0, DIVERGED):
            self.display.finished(job)
        if code in (0, DIVERGED, BUSY):
            return
        if code in STOPPED.values():
            self.stopped = self.stopped or code
            return
        needed = SPARE_BYTES + disk_bytes(job)
        if code == FULL and free_bytes(output_folder()) < needed:
            self.needed = needed
            self.display.say(f"{reason}\nThe plan pauses until there is space again.")
            return
        self.tries[job] += 1
        if code in (BAD_CONFIG, BAD_DATA) or self.tries[job] > RETRIES:
            self.failures[job] = Failure(code, reason, launched.tail())
            note_failure(job, self.failures[job])
            self.display.say(f"{job.run}: given up ({reason.splitlines()[0]})")
        else:
            self.display.say(f"{job.run}: {reason.splitlines()[-1]}; tried again.")

    def paused(self) -> bool:
        """Whether the disk is still full."""
        if self.needed and free_bytes(output_folder()) >= self.needed:
            self.needed = 0.0
            self.display.say("There is space again; the plan goes on.")
        return self.needed > 0

    def stop(self, number: signal.Signals) -> None:
        """Have every run save and stop."""
        self.stopped = self.stopped or STOPPED[number]
        for worker in self.workers:
            if worker.launched is not None:
                worker.launched.send(number)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Pass signals on to the runs, which save and end with a code."""

        def pass_on(number: int, frame: FrameType | None) -> None:
            self.stop(signal.Signals(number))

        previous = {number: signal.signal(number, pass_on) for number in STOPPED}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _reason(code: int, hung: bool) -> str:
    """Why a process without an outcome ended."""
    if hung:
        return "no sign of life for too long, killed"
    if code == -signal.SIGKILL:
        return "killed (signal 9), as when memory runs out"
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
