"""How a command ends that cannot do what it is asked: with a message of a line or three, and an
exit code."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from records.exits import BAD_CONFIG, FAILED, INTERRUPTED
from records.record import RecordError

P = ParamSpec("P")


class CommandError(Exception):
    """What was asked for cannot be done; the message names the thing and the remedy."""


def guarded(main: Callable[P, int]) -> Callable[P, int]:
    """A command's main, which returns its exit code also where it fails by what a user can mend."""

    @wraps(main)
    def command(*arguments: P.args, **named: P.kwargs) -> int:
        try:
            return main(*arguments, **named)
        except (CommandError, RecordError) as error:
            print(error, file=sys.stderr)
            return BAD_CONFIG
        except KeyboardInterrupt:
            print("Stopped; the same command goes on.", file=sys.stderr)
            return INTERRUPTED
        except BrokenPipeError:  # whoever reads has seen enough, as behind `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:  # a read-only folder, a full disk
            place = error.filename or error.filename2
            print(f"{place}: {error.strerror}" if place else str(error), file=sys.stderr)
            return FAILED

    return command
