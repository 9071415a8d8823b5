"""One process per run: a lock on its folder, which the kernel releases when the process dies.

On network file systems that support `flock` (NFS 4 does), the lock holds across machines; the lock
of a lost machine is released when its lease expires, after about a minute.
"""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from records.exits import BUSY, UserError
from records.files import FolderError, no_pipe
from records.names import LOCK

TRIES, PAUSE = 10, 0.05  # merely checking the lock, as `make status` does, holds it for a moment


class Busy(UserError):
    """Another process trains this run."""

    code = BUSY


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder.

    Raises:
        Busy: another process holds it.
        FolderError: its file system has no locks.
    """
    path = folder / LOCK
    for _ in range(TRIES):
        with path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(PAUSE)
                continue
            except OSError as error:
                raise FolderError(
                    f"{folder}: this file system has no locks ({error.strerror}); set output_dir "
                    "(or OUTPUT_DIR) to a folder on one that has them."
                ) from None
            if not os.fstat(file.fileno()).st_nlink:  # its owner has just removed it
                continue
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return
    raise Busy(f"{folder} is being trained by {_owner(path)}; skipped here.")


def release_dead(folder: Path) -> None:
    """Remove the lock file that a dead process left in a folder, if there is one."""
    if (folder / LOCK).exists():
        with suppress(Busy), locked(folder):
            pass


def is_locked(path: Path) -> bool:
    """Whether a live process holds the lock at a path."""
    try:
        with no_pipe(path).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # missing, unreadable or no locks here: the process that trains reports it
        pass
    return False


def _owner(path: Path) -> str:
    """The process that holds a lock, in words; it may have ended by now."""
    with suppress(OSError, UnicodeError):
        return path.read_text() or "another process"
    return "another process"
