"""Ctrl-C while the modules of a command are imported."""

import signal
import sys


def end_by_ctrl_c() -> None:
    """Let Ctrl-C end a command that `python -m` is about to import without a traceback, until
    `records.command.guarded` takes over. Where a package is imported as a library, nothing changes.
    """
    starting = sys.argv[:1] == ["-m"]  # so Python has it while it looks for the module
    if starting and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
