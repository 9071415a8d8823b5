"""Signals that ask a run to stop: it saves first."""

import os
import signal
from types import FrameType, TracebackType

# Exit codes: 75 asks a scheduler to start the run again, 130 is the shell's for Ctrl-C.
CODES = {signal.SIGTERM: 75, signal.SIGUSR1: 75, signal.SIGUSR2: 75, signal.SIGINT: 130}


class Stopped(Exception):
    """The run was asked to stop and has saved its state."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


class Signals:
    """While entered, keeps a signal in `code` instead of dying; the second one kills at once.

    A cluster's launcher (submitit) has handlers of its own: it ignores SIGTERM, and puts the job
    back into the queue at SIGUSR2. It keeps the former, and gets the latter once the run has saved.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        self.caught: int | None = None

    def __enter__(self) -> "Signals":
        self.previous = {number: signal.getsignal(number) for number in CODES}
        self.launcher = callable(self.previous[signal.SIGUSR2])
        for number in CODES:
            if not (self.launcher and number == signal.SIGTERM):
                signal.signal(number, self._caught)
        return self

    def __exit__(
        self, kind: type | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        if self.caught == signal.SIGUSR2 and self.launcher:
            signal.raise_signal(signal.SIGUSR2)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        code = CODES[signal.Signals(number)]
        if self.code is not None:
            os._exit(code)
        self.code, self.caught = code, number
