"""Signals that ask a run to stop; it saves its state first."""

import os
import signal
from types import FrameType

from records.exits import INTERRUPTED, PREEMPTED

# Sent by schedulers, or when the terminal is closed.
SCHEDULERS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
CODES = dict.fromkeys(SCHEDULERS, PREEMPTED) | {signal.SIGINT: INTERRUPTED}


class Stopped(Exception):
    """The run was asked to stop and has saved its state."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


class Signals:
    """While entered, turns a signal into an exit code in `code`; a second Ctrl-C kills at once.

    Other signals may arrive twice: the scheduler sends them to every process, and so does the
    parent process.

    A cluster's launcher (submitit) has its own handlers: it ignores SIGTERM and requeues the job on
    SIGUSR2 or SIGUSR1. Its SIGTERM handler stays; the other signals reach it once the run has
    saved.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        self.caught: signal.Signals | None = None
        self.interrupted = False

    def __enter__(self) -> "Signals":
        # None stands for a handler not set from Python, which cannot be restored.
        known = {number: signal.getsignal(number) for number in CODES}
        self.previous = {number: was for number, was in known.items() if was is not None}
        if self.previous.get(signal.SIGHUP) == signal.SIG_IGN:
            del self.previous[signal.SIGHUP]  # under nohup, runs outlive the terminal
        users = SCHEDULERS[1:]
        self.launchers = {number for number in users if callable(self.previous.get(number))}
        for number in self.previous:
            if not (self.launchers and number == signal.SIGTERM):
                signal.signal(number, self._caught)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        if self.caught in self.launchers and self.caught is not None:
            signal.raise_signal(self.caught)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        caught = signal.Signals(number)
        if caught == signal.SIGINT:
            if self.interrupted:
                os._exit(CODES[caught])
            self.interrupted = True
        if self.code is None:
            self.code, self.caught = CODES[caught], caught
