"""How a command ends that cannot do what it is asked: with a message of a line or three, and an
exit code."""

import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec

from records.exits import BAD_CONFIG, FAILED, INTERRUPTED
from records.files import FolderError
from records.record import RecordError
from records.words import suggestion

P = ParamSpec("P")


class CommandError(Exception):
    """What was asked for cannot be done; the message names the thing and the remedy."""


def one_of(variable: str, choices: Iterable[str]) -> Callable[[str], str]:
    """What reads an option that a variable of make's gives, and raises a `CommandError` for a word
    that is none of the choices."""
    known = list(choices)

    def read(word: str) -> str:
        if word not in known:
            raise CommandError(f"{variable}={word} is unknown. {suggestion(word, known)}")
        return word

    return read


def guarded(main: Callable[P, int | None]) -> Callable[P, int]:
    """A command's main, which returns its exit code (None is 0) also where it fails by what a user
    can mend, and writes to any terminal."""

    @wraps(main)
    def command(*arguments: P.args, **named: P.kwargs) -> int:
        write_anything()
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as it was left while importing
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return main(*arguments, **named) or 0
        except (CommandError, RecordError, FolderError) as error:
            print(error, file=sys.stderr)
            return BAD_CONFIG
        except KeyboardInterrupt:
            print("Stopped; the same command goes on.", file=sys.stderr)
            return INTERRUPTED
        except BrokenPipeError:  # whoever reads has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:  # a read-only folder, a full disk
            place = error.filename2 if error.errno == errno.EISDIR else None
            place = place or error.filename
            print(f"{place}: {error.strerror}." if place else str(error), file=sys.stderr)
            return BAD_CONFIG if error.errno == errno.ENAMETOOLONG else FAILED

    return command


def write_anything() -> None:
    """Let a question mark stand for what a terminal or a pipe has no character for (standard error
    shows its code anyhow)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
