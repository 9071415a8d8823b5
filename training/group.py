"""Several runs at once in one process, on one GPU: each has its own captured step and stream.

They take turns, an iteration each, and the GPU works on them side by side; what one computes does
not depend on the others. A run that raises or diverges leaves them alone. Where the GPU itself is
lost, the process ends.
"""

import gc
import os
import sys
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass

import torch
from torch import nn

from training.entry import DIVERGED, FAILED, USER_ERRORS, explained
from training.network import outline, skips
from training.run import Company, running
from training.settings import Settings
from training.signals import Signals, Stopped

FAULT = 70
# Memory that has to be free before another run starts: what the largest took, and half as much.
MARGIN = 1.5


@dataclass
class Job:
    """A run to do: its number, its name and what it is."""

    number: int
    experiment: str
    name: str
    settings: Settings


class Member:
    """A run that takes part."""

    def __init__(self, job: Job, signals: Signals, *, cuda: bool):
        self.job, self.company = job, Company(alone=False)
        self.stream = torch.cuda.Stream() if cuda else None
        self.steps: Generator[None, None, str] = running(
            job.settings, job.experiment, job.name, signals, self.company
        )

    def advance(self) -> None:
        """Launch one iteration, the first time after making everything for it.

        Raises:
            StopIteration: the run has ended.
        """
        stream: AbstractContextManager = nullcontext()
        if self.stream is not None:
            stream = torch.cuda.stream(self.stream)
        with stream:
            next(self.steps)


class Group:
    """Runs that take turns.

    Args:
        jobs: to do, in order.
        at_once: most runs at the same time.
        report: is told the outcome of every job: its number, exit code and the reason, if any.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        at_once: int,
        signals: Signals,
        report: Callable[[int, int, str], None],
    ):
        self.waiting, self.members = list(jobs), list[Member]()
        self.at_once, self.signals, self.report = at_once, signals, report
        self.largest = 0  # bytes that a run took, at most
        self.changed = True  # whether somebody came or went since a start was last considered

    def run(self) -> int:
        """Do all jobs, or stop when a signal asks for it.

        Returns:
            0, or the exit code that belongs to the signal.
        """
        while self.members or (self.waiting and self.signals.code is None):
            if self.signals.code is None and (job := self.next_job()) is not None:
                self.start(job)
            for member in list(self.members):
                self.advance(member)
        return self.signals.code or 0

    def next_job(self) -> Job | None:
        """The first waiting job that can start beside those under way, taken from the queue."""
        if not self.waiting or not self.changed:
            return None
        self.changed = False
        if self.members and not self.room():
            return None
        for job in self.waiting:
            if all(compatible(job.settings, member.job.settings) for member in self.members):
                self.waiting.remove(job)
                self.changed = True
                return job
        return None

    def room(self) -> bool:
        """Whether another run may start, by number and by memory."""
        if len(self.members) >= self.at_once:
            return False
        if not torch.cuda.is_available():
            return True
        gc.collect()  # what runs that have ended left behind
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info()[0] > MARGIN * self.largest

    def start(self, job: Job) -> None:
        """Have a run join."""
        cuda = torch.cuda.is_available() and job.settings.device != "cpu"
        before = torch.cuda.memory_reserved() if cuda else 0
        member = Member(job, self.signals, cuda=cuda)
        self.members.append(member)
        for one in self.members:
            one.company.most = max(one.company.most, len(self.members))
        self.advance(member)
        if cuda:
            self.largest = max(self.largest, torch.cuda.memory_reserved() - before)

    def advance(self, member: Member) -> None:
        """Let a run do an iteration, and see it off when it has ended, in whatever way."""
        try:
            member.advance()
        except StopIteration as end:
            self.ended(member, DIVERGED if end.value == "diverged" else 0)
        except Stopped as stopped:
            self.ended(member, stopped.code, str(stopped).removeprefix(f"{member.job.name}: "))
        except torch.OutOfMemoryError as error:
            self.too_many(member, error)
        except Exception as error:
            if is_lost():
                fall(error)
            if isinstance(error, USER_ERRORS):
                message, code = explained(error)
                self.ended(member, code, message)
            else:
                say(traceback.format_exc())
                self.ended(member, FAILED, f"{type(error).__name__}: {error}")

    def too_many(self, member: Member, error: Exception) -> None:
        """There is no memory for a run: fewer at once from now on, and this one again later."""
        if len(self.members) == 1:
            message, code = explained(error)
            self.ended(member, code, message)
            return
        self.leave(member)
        self.at_once = len(self.members)
        self.waiting.insert(0, member.job)
        say(
            f"{member.job.name}: not enough GPU memory beside {self.at_once} other runs; "
            "it goes on when one of them has ended."
        )

    def ended(self, member: Member, code: int, message: str = "") -> None:
        """Note the outcome of a run."""
        self.leave(member)
        self.report(member.job.number, code, message.split("\n")[0])
        if message:
            say(f"{member.job.name}: {message}")

    def leave(self, member: Member) -> None:
        """Give back what a run held."""
        self.members.remove(member)
        self.changed = True
        member.steps.close()


def say(text: str) -> None:
    """Print to standard error, which may be a file on a full disk: no reason for a run to end."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def compatible(one: Settings, other: Settings) -> bool:
    """Whether two runs can share a process: they ask the same of it, and neither draws random
    numbers on the GPU, where all captured steps would share one generator."""
    shared = ("precision", "deterministic", "threads", "device")
    same = all(getattr(one, key) == getattr(other, key) for key in shared)
    return same and not (solitary(one) or solitary(other))


def solitary(settings: Settings) -> bool:
    """Whether a run's steps draw on a GPU: those of dropout do."""
    if settings.device == "cpu" or not torch.cuda.is_available():
        return False
    model = outline(settings.model)
    drops = any(isinstance(layer, nn.Dropout) and layer.p > 0 for layer in model.modules())
    return drops or (settings.engine == "eager" and skips(model))


def is_lost() -> bool:
    """Whether the GPU answers no more, as after an illegal access: nothing works then."""
    try:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False


def fall(error: Exception) -> None:
    """End the process at once: with a lost GPU nothing can be cleaned up."""
    reason = (str(error) or type(error).__name__).splitlines()[0]
    print(f"The GPU is lost ({reason}); the checkpoints are intact.", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(FAULT)
