"""Carry out a plan: each run in its own process, several at once on a GPU if they fit. A failure
stops no other run, and several of these programs may share a folder."""

import math
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType

from experiments.execution.display import Display
from experiments.execution.launch import Launched
from experiments.plan import states
from experiments.plan.estimate import PHOTOGRAPHS, disk_bytes, gpu_bytes
from experiments.plan.jobs import Job
from experiments.plan.machine import free_bytes
from experiments.plan.states import Failure, state_of
from records import exits
from records.names import FAILURE, outputs, results
from records.processor import cores

# Signals that stop a plan, and its exit code for each.
SIGNALS = {
    signal.SIGTERM: exits.PREEMPTED,
    signal.SIGUSR1: exits.PREEMPTED,
    signal.SIGUSR2: exits.PREEMPTED,
    signal.SIGHUP: exits.PREEMPTED,
    signal.SIGINT: exits.INTERRUPTED,
}
RETRIES = 2  # of a run that died or raised; it resumes from its checkpoint
PATIENCE = 1800.0  # seconds without a sign of life, after which a process is killed
LAST_PATIENCE = 120.0  # the same, once asked to stop
POLL_SECONDS = 0.2
SPARE_BYTES = 200e6  # that must be free beyond a run's own before a paused plan resumes
FULL_SECONDS = 60.0  # to wait before checking: a quota shows only in the next try


@dataclass
class Device:
    """A device to train runs on.

    Attributes:
        name: of a GPU, as in CUDA_VISIBLE_DEVICES; None leaves the choice to the runs.
        at_once: most runs at a time.
        memory: bytes they may take together, or None if no limit is known.
        options: overrides of train.py for this device.
    """

    name: str | None = None
    at_once: int = 1
    memory: float | None = None
    options: Sequence[str] = ()

    def most(self, job: Job) -> int:
        """How many runs like this one can train here at a time."""
        if self.memory is None:
            return self.at_once
        return max(1, min(self.at_once, int(self.memory // gpu_bytes(job))))

    def has_room(self, under_way: Sequence[Job], job: Job) -> bool:
        """Whether a run can start beside those under way; the first always can."""
        if not under_way or self.memory is None:
            return len(under_way) < self.at_once
        taken = sum(map(gpu_bytes, (*under_way, job)))
        return len(under_way) < self.at_once and taken <= self.memory


@dataclass
class Execution:
    """The execution of a plan.

    Args:
        jobs: to do, in order; those that have ended are skipped.
        minutes: after which all runs save and stop, or None.
        patience: seconds without a sign of life after which a process is killed.
        environment: variables for the runs, added to those of this process.

    Attributes:
        failures: why each run that was given up failed.
        ended: runs known to have ended, so that their files are not read again at every poll.
        stopped: exit code 75 or 130 if asked to stop, else 0.
    """

    jobs: Sequence[Job]
    devices: Sequence[Device]
    display: Display
    minutes: float | None = None
    patience: float = PATIENCE
    environment: Mapping[str, str] = field(default_factory=dict)
    failures: dict[Job, Failure] = field(default_factory=dict)
    stopped: int = 0
    ended: set[Job] = field(default_factory=set)
    tries: Counter[Job] = field(default_factory=Counter)
    launched: list[Launched] = field(default_factory=list)
    shared: bool = False  # whether another program works on the same runs
    needed: float = 0.0  # bytes that a full disk must have free before the plan resumes,
    again: float = 0.0  # and when to check

    def run(self) -> None:
        """Train all runs, until each has ended or been given up, or the plan is stopped."""
        deadline = time.monotonic() + 60 * self.minutes if self.minutes is not None else None
        with self.signals(), self.display:
            try:
                while self.step():
                    if deadline is not None and time.monotonic() > deadline and not self.stopped:
                        self.display.say("Time is up; the runs are saving and stopping.")
                        self.stop(exits.PREEMPTED)
                    self.display.refresh()
                    time.sleep(POLL_SECONDS)
            finally:
                self.leave_nothing()

    def step(self) -> bool:
        """Handle runs that ended, start those that can; return whether to go on waiting."""
        for launched in list(self.launched):
            code = launched.poll()
            if code is not None:
                self.launched.remove(launched)
                self.judge(launched, code)
            elif launched.quiet_seconds() > (LAST_PATIENCE if self.stopped else self.patience):
                launched.kill()
        for device in self.devices:
            while not self.stopped and not self.paused() and self.start_on(device):
                pass
        return bool(self.launched) or (self.needed > 0 and not self.stopped)

    def start_on(self, device: Device) -> bool:
        """Start the next open run on a device if there is room for it; return whether it did."""
        mine = {launched.job for launched in self.launched}
        under_way = [one.job for one in self.launched if one.device == device.name]
        if len(under_way) >= device.at_once:
            return False
        order = list(self.jobs)
        if self.shared:  # the others start at the top too: keep out of their way
            random.shuffle(order)
        job = next((job for job in order if job not in mine and self.is_open(job)), None)
        if job is None or not device.has_room(under_way, job):
            return False
        (job.working / FAILURE).unlink(missing_ok=True)
        self.display.started(job)
        share = math.ceil(len(self.jobs) / len(self.devices))
        at_once = min(device.most(job), share)
        options = [*device.options, f"runs_at_once={at_once}"]
        if job.dataset in PHOTOGRAPHS and len(self.devices) > 1:  # all of them decode
            decoding = max(1, cores() // (len(self.devices) * at_once))
            options.append(f"workers={decoding}")
        launched = Launched(job, device.name, options, self.environment)
        self.launched.append(launched)
        if self.stopped:  # by a signal during the launch
            launched.send(signal.SIGTERM)
        return True

    def is_open(self, job: Job) -> bool:
        """Whether a run can start: it has not ended, does not run and was not given up, and its
        teacher, if any, has weights or will get none here (train.py then names the remedy)."""
        if job in self.failures or job in self.ended:
            return False
        state, teacher = state_of(job), job.teacher
        if state in states.ENDED:
            self.ended.add(job)
        if state in (*states.ENDED, "running"):
            return False
        if teacher is None or teacher.weights.is_file() or teacher in self.failures:
            return True
        return state_of(teacher) in states.ENDED

    def judge(self, launched: Launched, code: int) -> None:
        """Act on how a process ended: report the run, retry it, give it up, or stop or pause."""
        job, reason = launched.job, launched.reason(code)
        if code in (0, exits.DIVERGED):
            if state_of(job) in states.ENDED:
                self.display.finished(job)
                return
            code, reason = exits.BAD_CONFIG, f"it ended without a record in {job.finished}"
        if code in exits.STOPPED:
            if not self.stopped:  # a second Ctrl-C would end the others before they have saved
                self.stop(code)
        elif code == exits.BUSY:
            self.shared = True
        elif code == exits.FULL:
            self.needed, self.again = SPARE_BYTES + disk_bytes(job), time.monotonic() + FULL_SECONDS
            self.display.say(f"{job.run}: {reason}\nThe plan pauses until there is free space.")
        elif code == exits.NO_MEMORY and self.fewer_on(launched.device):
            self.display.say(f"{job.run}: out of GPU memory beside the others; fewer at once.")
        elif not self.stopped:
            self.tries[job] += 1
            if code in (exits.BAD_CONFIG, exits.BAD_DATA) or self.tries[job] > RETRIES:
                self.give_up(job, Failure(code, reason, "\n".join(launched.tail())))
            else:
                self.display.say(f"{job.run}: {reason}; trying again.")

    def fewer_on(self, name: str | None) -> bool:
        """Allow no more runs on a device than are left there; return False if none is left."""
        left = sum(one.device == name for one in self.launched)
        for device in self.devices:
            if device.name == name and left:
                device.at_once = left
        return left > 0

    def give_up(self, job: Job, failure: Failure) -> None:
        """Record why a run failed, and do not try it again."""
        self.failures[job] = failure
        with suppress(OSError):  # on a full disk; it is reported anyway
            states.note_failure(job, failure)
        self.display.say(f"{job.run}: given up ({failure.reason})")

    def paused(self) -> bool:
        """Whether the disk is still full."""
        if self.needed and time.monotonic() >= self.again:
            free = min(free_bytes(folder) for folder in (outputs(), results()))
            if free >= self.needed:
                self.needed = 0.0
                self.display.say("There is free space again; the plan continues.")
        return self.needed > 0

    def stop(self, code: int) -> None:
        """Make every run save and stop, and the plan end with an exit code."""
        again = code == exits.INTERRUPTED and self.stopped == exits.INTERRUPTED
        for launched in self.launched:
            if not self.stopped:
                launched.wait_anew()
            launched.send(signal.SIGINT if code == exits.INTERRUPTED else signal.SIGTERM)
        self.stopped = self.stopped or code
        if again:
            self.display.say("Stopping at once; the last checkpoints are intact.")

    def leave_nothing(self) -> None:
        """If this ends by an error, make every process save and stop, and wait for it."""
        for launched in self.launched:
            launched.send(signal.SIGTERM)
        for launched in self.launched:
            launched.wait(LAST_PATIENCE)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """While entered, pass signals on to the runs, which save and stop."""

        def pass_on(number: int, frame: FrameType | None) -> None:
            self.stop(SIGNALS[signal.Signals(number)])

        # Signals that are ignored stay so, as SIGHUP under nohup.
        heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        previous = {number: signal.signal(number, pass_on) for number in heard}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
