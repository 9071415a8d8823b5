"""Atomic file writes and writable folders."""

import csv
import errno
import fcntl
import glob
import io
import math
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from records.exits import UserError

ROOT = Path(__file__).resolve().parent.parent  # of the checkout


class FolderError(UserError):
    """A folder is not writable, or its file system has no locks."""


def finite(value: Any) -> Any:
    """Replace NaN and infinity (a diverged loss) by None, because JSON has neither."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def no_pipe(path: Path) -> Path:
    """Return the path unless it is a pipe or a device, where reading might never end.

    Raises:
        OSError: the path is a pipe or a device.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "A pipe or a device where a file should be", str(path))
    return path


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that replaces `path` once it is complete, even across a power failure:
    no reader sees half of it, and several writers do not disturb each other.

    Temporary files left by dead processes are removed.

    Raises:
        OSError: the write failed; the previous content is intact.
    """
    for left in path.parent.glob(f"{glob.escape(path.name)}.*.tmp"):
        with suppress(OSError), left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails if its writer is alive
            if os.path.samestat(os.fstat(file.fileno()), left.stat()):  # else its writer is done
                left.unlink()
    temporary = path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}.tmp")
    try:
        with _locked_file(temporary) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # report the first error, not one of the clean-up
            temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_atomically(path: Path, content: str | bytes | memoryview) -> None:
    """Write a file completely or not at all, text as UTF-8; see `written_whole`."""
    with written_whole(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def _locked_file(path: Path) -> IO[bytes]:
    """Open a file for writing and lock it, where the file system has locks."""
    while True:
        file = path.open("wb")
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:  # else it was swept before it was locked
            return file
        file.close()


def write_csv(
    path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str] = ()
) -> None:
    """Write rows as CSV, by default with the columns of the first row; see `write_atomically`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


def make_folder(folder: Path) -> None:
    """Create a folder and check that it is writable.

    Raises:
        FolderError: the folder cannot be created or is not writable.
    """
    probe = folder / ".probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise FolderError(
            f"{folder} cannot be written ({error.strerror}); "
            "set output_dir and results_dir (or OUTPUT_DIR and RESULTS_DIR) to writable folders."
        ) from None


def remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and its parents below `top`, up to the first that is not empty."""
    folder, top = folder.absolute(), top.absolute()
    with suppress(OSError):  # rmdir fails at the first that is not empty
        while top in folder.parents:
            folder.rmdir()
            folder = folder.parent
