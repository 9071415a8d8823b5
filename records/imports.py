"""Ctrl-C while the modules of a command are imported."""

import signal
import sys


def end_by_ctrl_c() -> None:
    """Let Ctrl-C end a `python -m` command without a traceback while it imports, until
    `records.command.guarded` takes over. Does nothing if the package is imported as a library."""
    starting = sys.argv[:1] == ["-m"]  # Python's placeholder while it locates the module
    if starting and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
