"""Carry out a plan: each run in a process of its own, or side by side on a GPU; several GPUs share
the work, and so do several of these programs on one folder. A failure stops no other run."""

import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType

from experiments.display import Display
from experiments.estimate import disk_bytes
from experiments.folders import output_folder, result_folder
from experiments.jobs import Job
from experiments.launch import Launched
from experiments.machine import free_bytes
from experiments.states import ENDED, Failure, forget_failure, note_failure, state_of

# Exit codes of a run (training/entry.py).
BAD_CONFIG, BAD_DATA, DIVERGED, BUSY, FULL, PREEMPTED, INTERRUPTED = 2, 3, 4, 69, 74, 75, 130
STOPPED = (PREEMPTED, INTERRUPTED)
# Signals that stop a plan, and its exit code.
SIGNALS = {
    signal.SIGTERM: PREEMPTED,
    signal.SIGUSR1: PREEMPTED,
    signal.SIGUSR2: PREEMPTED,
    signal.SIGHUP: PREEMPTED,
    signal.SIGINT: INTERRUPTED,
}
RETRIES = 2  # of a run that died or raised; it goes on from its checkpoint
DEATHS = 2  # of processes with several runs, before the runs go on one by one
PATIENCE = 1800.0  # seconds without a sign of life, after which a process is killed
LAST_PATIENCE = 120.0  # the same, once it was asked to stop
POLL_SECONDS = 0.2
SPARE_BYTES = 200e6  # that must be free, beyond a run's own, before a plan goes on
FULL_SECONDS = 60.0  # before that is looked at: a quota shows nowhere else than in the next try


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
    tries: Counter[Job] = field(default_factory=Counter)
    announced: set[Job] = field(default_factory=set)
    needed: float = 0.0  # bytes that a full disk must have free before the plan goes on,
    again: float = 0.0  # and when to look

    def run(self) -> None:
        """Do what can be done."""
        self.workers = [Worker(device, number) for number, device in enumerate(self.devices)]
        deadline = time.monotonic() + 60 * self.minutes if self.minutes is not None else None
        with self.signals(), self.display:
            try:
                while self.step():
                    if deadline is not None and time.monotonic() > deadline and not self.stopped:
                        self.display.say("Time is up; the runs save and stop.")
                        self.stop(PREEMPTED)
                    self.display.refresh()
                    time.sleep(POLL_SECONDS)
            finally:
                self.leave_nothing()

    def step(self) -> bool:
        """See off what has ended, and start what can; whether anything is under way."""
        for worker in self.workers:
            if worker.launched is not None:
                self.look_after(worker, worker.launched)
            if worker.launched is None and not self.stopped and not self.paused():
                self.start(worker)
        busy = any(worker.launched for worker in self.workers)
        return busy or (self.needed > 0 and not self.stopped)

    def look_after(self, worker: Worker, launched: Launched) -> None:
        """Hear what a process says of its runs, and whether it has ended or hangs."""
        code = launched.poll()
        for job, (outcome, reason) in launched.news():
            self.judge(job, outcome, reason, launched)
        if code is not None:
            self.ended(launched, code)
            worker.launched = None
        elif launched.quiet_seconds() > (LAST_PATIENCE if self.stopped else self.patience):
            launched.kill()

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
            batch = [*left[first:], *left[:first]]
            name = f"{socket.gethostname()}-{os.getpid()}-device{worker.device or ''}.txt"
            log, at_once = output_folder() / "logs" / name, self.at_once
        else:
            batch, log, at_once = left[:1], left[0].working / "log.txt", "1"
        for job in batch:
            forget_failure(job)
        self.display.started(batch)
        worker.launched = Launched(batch, worker.device, at_once, log)
        if self.stopped:  # by a signal that came while it was made
            worker.launched.send(signal.SIGTERM)

    def is_open(self, job: Job) -> bool:
        """Whether a run waits to be done, and nobody is at it."""
        return job not in self.failures and state_of(job) not in (*ENDED, "running")

    def ended(self, launched: Launched, code: int) -> None:
        """Judge what became of the runs of a process that ended without saying so."""
        without = [job for job in launched.jobs if job not in launched.heard]
        if code in STOPPED:
            self.stop(code)
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
            if state_of(job) in ENDED:
                self.announce(job)
                return
            code, reason = BAD_CONFIG, f"it ended, and left no record in {job.finished}"
        if code == BUSY:
            return
        if code in STOPPED:
            self.stop(code)
        elif code == FULL:
            self.needed, self.again = SPARE_BYTES + disk_bytes(job), time.monotonic() + FULL_SECONDS
            self.display.say(f"{job.run}: {reason}\nThe plan pauses until there is space again.")
        else:
            self.tries[job] += 1
            if code in (BAD_CONFIG, BAD_DATA) or self.tries[job] > RETRIES:
                self.give_up(job, Failure(code, reason, launched.tail()))
            else:
                self.display.say(f"{job.run}: {reason}; tried again.")

    def announce(self, job: Job) -> None:
        """Say once that a run has ended by itself."""
        if job not in self.announced:
            self.announced.add(job)
            self.display.finished(job)

    def give_up(self, job: Job, failure: Failure) -> None:
        """Leave a run alone from now on."""
        self.failures[job] = failure
        with suppress(OSError):  # a full disk; it is reported all the same
            note_failure(job, failure)
        self.display.say(f"{job.run}: given up ({failure.reason})")

    def paused(self) -> bool:
        """Whether the disk is still full."""
        if self.needed and time.monotonic() >= self.again:
            free = min(free_bytes(folder) for folder in (output_folder(), result_folder()))
            if free >= self.needed:
                self.needed = 0.0
                self.display.say("There is space again; the plan goes on.")
        return self.needed > 0

    def stop(self, code: int) -> None:
        """Have every run save and stop, and the plan end with a code."""
        again = code == INTERRUPTED and self.stopped == INTERRUPTED
        self.stopped = self.stopped or code
        for worker in self.workers:
            if worker.launched is not None:
                worker.launched.send(signal.SIGINT if code == INTERRUPTED else signal.SIGTERM)
        if again:
            self.display.say("Ending at once; the last checkpoints are intact.")

    def leave_nothing(self) -> None:
        """Where this ends by an error: have every process save and stop, and wait for it."""
        for worker in self.workers:
            if worker.launched is not None:
                worker.launched.send(signal.SIGTERM)
        for worker in self.workers:
            if worker.launched is not None:
                worker.launched.wait(LAST_PATIENCE)
                worker.launched.close()

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Pass signals on to the runs, which save and end with a code."""

        def pass_on(number: int, frame: FrameType | None) -> None:
            self.stop(SIGNALS[signal.Signals(number)])

        # Under nohup, the end of the terminal is to be ignored.
        heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        previous = {number: signal.signal(number, pass_on) for number in heard}
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
