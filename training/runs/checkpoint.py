"""Checkpoints: a run's newest and the one before, each verified by the checksum in its name.

`checkpoint-00012000-3f2a….pt` holds the state after 12,000 iterations; 3f2a… are the first digits
of its SHA-256. It is a plain torch.save file of tensors, numbers, strings and containers of them.
"""

import hashlib
import io
import os
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch

from records.exits import UserError
from records.files import write_atomically
from records.names import CHECKPOINTS

VERSION = 1
KEPT = 2
UNFINISHED = "checkpoint-*.tmp"  # left where a process was killed
DIGITS = 16  # of the checksum, in the name


class CheckpointError(UserError):
    """No checkpoint of a run can be read, or it belongs to another configuration."""


def save(folder: Path, iteration: int, state: dict[str, Any], deciding: dict[str, Any]) -> None:
    """Write a checkpoint atomically, even if the power fails; then delete the oldest.

    Args:
        iteration: iterations done.
        state: what a run needs to resume.
        deciding: the settings that decide the numbers, to compare on resume.

    Raises:
        OSError: the file could not be written; earlier checkpoints are intact.
    """
    buffer = io.BytesIO()
    torch.save({"version": VERSION, "science": deciding, "state": state}, buffer)
    content = buffer.getbuffer()
    prefix = f"checkpoint-{iteration:08}-"
    path = folder / f"{prefix}{checksum(content)}.pt"
    write_atomically(path, content)
    others = [other for other in checkpoints(folder) if other != path]
    same = [other for other in others if other.name.startswith(prefix)]
    for old in [*same, *[other for other in others if other not in same][KEPT - 1 :]]:
        old.unlink()


def load(folder: Path, deciding: dict[str, Any]) -> dict[str, Any] | None:
    """Load the newest intact state in a run folder to the CPU; None if there is no checkpoint.

    A damaged file is renamed to `damaged-…` and the one before it is loaded.

    Raises:
        CheckpointError: all are damaged, or one is of another version or configuration.
    """
    for path in folder.glob(UNFINISHED):
        path.unlink(missing_ok=True)
    damaged: list[Path] = []
    for path in checkpoints(folder):
        content = read(path)
        if content is None:
            damaged.append(path)
            continue
        state = _check(content, path, deciding)
        for bad in damaged:
            os.replace(bad, bad.with_name(f"damaged-{bad.name}"))
            print(f"{bad} is damaged; continuing from {path.name}.", file=sys.stderr)
        return state
    if damaged:
        names = " and ".join(path.name for path in damaged)
        raise CheckpointError(
            f"{folder}: {names} damaged, and there is no other checkpoint.\n"
            "Delete the folder to start this run afresh."
        )
    return None


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, newest first."""
    return sorted(filter(Path.is_file, folder.glob(CHECKPOINTS)), reverse=True)


def clear(folder: Path) -> None:
    """Delete the checkpoints of a run, damaged ones included."""
    for path in [*folder.glob(CHECKPOINTS), *folder.glob(f"damaged-{CHECKPOINTS}")]:
        if path.is_file():
            path.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any] | None:
    """The content of a checkpoint, or None if it is unreadable or does not match its checksum."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if not path.stem.endswith(f"-{checksum(content)}"):
        return None
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, KeyError, ValueError,
            pickle.UnpicklingError, zipfile.BadZipFile):  # fmt: skip
        return None  # intact, but not a checkpoint


def checksum(content: Any) -> str:
    """First digits of the SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def differences(saved: dict, now: dict, path: str = "") -> list[str]:
    """`key was one value, is now another` for every key in which two configurations differ."""
    differing = []
    for key in sorted(saved.keys() | now.keys()):
        old, new = saved.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            differing += differences(old, new, f"{path}{key}.")
        elif old != new:
            differing.append(f"{path}{key} was {old}, is now {new}")
    return differing


def _check(content: Any, path: Path, deciding: dict[str, Any]) -> dict[str, Any]:
    """Return the state in a checkpoint after checking that it is this run's."""
    remedy = f"Delete {path.parent} to start this run afresh"
    try:
        version, saved, state = content["version"], content["science"], content["state"]
    except (KeyError, TypeError):
        raise CheckpointError(f"{path} is not a checkpoint of this suite.\n{remedy}.") from None
    if version != VERSION:
        raise CheckpointError(f"{path} has format {version}, not {VERSION}.\n{remedy}.")
    if differing := differences(saved, deciding):
        raise CheckpointError(
            f"{path} was made with a different configuration: {'; '.join(differing)}.\n"
            f"{remedy}, or set these back."
        )
    return dict(state)
