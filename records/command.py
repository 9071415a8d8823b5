"""How a failing command ends: with a message of one to three lines and an exit code."""

import argparse
import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec

from records.exits import BAD_CONFIG, FAILED, INTERRUPTED, UserError
from records.words import suggestion

P = ParamSpec("P")


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser for `python -m <module>`, whose help keeps the lines of the description."""
    spec = sys.modules["__main__"].__spec__
    prog = f"python -m {spec.name.removesuffix('.__main__')}" if spec else None
    layout = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=prog, description=description, formatter_class=layout)


class CommandError(UserError):
    """A request that cannot be met; the message names the cause and the remedy."""


def one_of(variable: str, choices: Iterable[str]) -> Callable[[str], str]:
    """Return an argparse type that accepts only `choices` and otherwise raises a `CommandError`
    naming the make variable."""
    known = list(choices)

    def read(word: str) -> str:
        if word not in known:
            raise CommandError(f"{variable}={word} is unknown. {suggestion(word, known)}")
        return word

    return read


def guarded(main: Callable[P, int | None]) -> Callable[P, int]:
    """Decorate a command's main: errors a user can fix become a message and an exit code (None
    becomes 0), and output works on any terminal."""

    @wraps(main)
    def command(*arguments: P.args, **named: P.kwargs) -> int:
        write_anything()
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # set by `end_by_ctrl_c`
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return main(*arguments, **named) or 0
        except UserError as error:
            print(error, file=sys.stderr)
            return error.code
        except KeyboardInterrupt:
            print("Stopped; repeat the command to continue.", file=sys.stderr)
            return INTERRUPTED
        except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:  # a read-only folder, a full disk
            place = error.filename2 if error.errno == errno.EISDIR else None
            place = place or error.filename
            print(f"{place}: {error.strerror}." if place else str(error), file=sys.stderr)
            return BAD_CONFIG if error.errno == errno.ENAMETOOLONG else FAILED

    return command


def write_anything() -> None:
    """Print a question mark for characters that standard output cannot encode (standard error
    already escapes them)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
