"""Atomic file writes and writable folders."""

import csv
import errno
import io
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

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


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file completely or not at all, even across a power failure; text as UTF-8.

    Raises:
        OSError: the write failed; the previous content is intact.
    """
    replace_atomically(path, path.with_name(f"{path.name}.tmp"), content)


def write_csv(
    path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str] = ()
) -> None:
    """Write rows as CSV, by default with the columns of the first row; see `write_atomically`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


def replace_atomically(path: Path, temporary: Path, content: str | bytes | memoryview) -> None:
    """Replace a file by way of a temporary one; see `write_atomically`."""
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):  # report the first error, not one of the clean-up
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
