"""Files that are whole or not there, and folders that can be written to."""

import csv
import errno
import io
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent  # of the checkout


class FolderError(Exception):
    """A folder cannot be written to, or its file system has no locks."""


def finite(value: Any) -> Any:
    """The same value with null for what JSON has no number for (a diverged loss)."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def no_pipe(path: Path) -> Path:
    """The same path, unless reading there might never end, as of a pipe or a device.

    Raises:
        OSError: it is that.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "A pipe or a device where a file should be", str(path))
    return path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, also when the power fails; text as UTF-8.

    Raises:
        OSError: it could not be written; what was there before is intact.
    """
    replace_atomically(path, path.with_name(f"{path.name}.tmp"), content)


def write_csv(
    path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str] = ()
) -> None:
    """Write rows as CSV under these columns, by default those of the first; see
    `write_atomically`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


def replace_atomically(path: Path, temporary: Path, content: str | bytes | memoryview) -> None:
    """Put a file in another's place, by way of a temporary one; see `write_atomically`."""
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):  # the error that counts is the first one
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename inside a folder survive a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder that can be written to.

    Raises:
        FolderError: it cannot.
    """
    probe = folder / ".probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise FolderError(
            f"{folder} cannot be written ({error.strerror}); "
            "set output_dir and results_dir (or OUTPUT_DIR and RESULTS_DIR) to folders that can."
        ) from None


def remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and those above it, below `top`, as far as they hold nothing."""
    folder, top = folder.absolute(), top.absolute()
    with suppress(OSError):  # the first one that holds something ends it
        while top in folder.parents:
            folder.rmdir()
            folder = folder.parent
