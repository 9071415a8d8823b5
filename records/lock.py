"""One process per run: a lock on its folder, which the kernel releases when the process dies.

On network file systems that support `flock` (NFS 4 does), the lock holds across machines; the lock
of a lost machine is released when its lease expires, after about a minute.
"""

import fcntl
import glob
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

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
    file = _acquire(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def release_dead(folder: Path) -> None:
    """Remove the lock file that a dead process left in a folder, if there is one."""
    if (folder / LOCK).exists():
        with suppress(Busy), locked(folder):
            pass


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that replaces `path` once it is complete: no reader sees half of it.

    Temporary files left by dead processes are removed.

    Raises:
        OSError: the write failed; the previous content is intact.
    """
    for left in path.parent.glob(f"{glob.escape(path.name)}.*.tmp"):
        if not is_locked(left):
            left.unlink(missing_ok=True)
    temporary = path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            with suppress(OSError):  # no locks on this file system
                fcntl.flock(file, fcntl.LOCK_EX)
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # report the first error, not one of the clean-up
            temporary.unlink(missing_ok=True)
        raise


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


def _acquire(path: Path) -> IO[str]:
    if (path.exists() or path.is_symlink()) and not (path.is_file() or path.is_dir()):
        raise FolderError(f"{path} is a pipe or a broken link, not a lock; remove it.")
    for _ in range(TRIES):
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, path):
                file.truncate(0)
                json.dump({"pid": os.getpid(), "host": socket.gethostname()}, file)
                file.flush()
                return file
        except BlockingIOError:
            pass
        except OSError as error:
            raise FolderError(
                f"{path.parent}: this file system has no locks ({error.strerror}); set output_dir "
                "(or OUTPUT_DIR) to a folder on one that has them."
            ) from None
        file.close()
        time.sleep(PAUSE)
    raise Busy(f"{path.parent} is being trained by {_owner(path)}; skipped here.")


def _is_at(file: IO[str], path: Path) -> bool:
    """Whether an open file is still the one at the path; its owner removes it when done."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _owner(path: Path) -> str:
    try:
        owner = json.loads(path.read_text())
        return f"process {owner['pid']} on {owner['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
