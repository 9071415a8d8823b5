"""Checkpoints: one file a run, replaced atomically, refused where the config differs."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

VERSION = 2
NAME = "checkpoint.pt"


class CheckpointError(Exception):
    """A checkpoint cannot be read, or belongs to another configuration."""


def save(folder: Path, state: dict[str, Any], science: dict[str, Any]) -> None:
    """Replace the checkpoint of a run: whole or not at all, also when the power fails.

    Args:
        state: tensors, numbers, strings and containers of them.
        science: the settings that decide the numbers, to compare on resume.

    Raises:
        OSError: the file could not be written; the checkpoint before it is intact.
    """
    temporary = folder / f"{NAME}.tmp"
    try:
        with temporary.open("wb") as file:
            torch.save({"version": VERSION, "science": science, "state": state}, file)
            file.flush()
            os.fsync(file.fileno())
    except RuntimeError as error:  # what torch makes of a full disk
        temporary.unlink(missing_ok=True)
        raise OSError(f"{temporary}: {str(error).splitlines()[0]}") from error
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    os.replace(temporary, folder / NAME)
    sync_folder(folder)


def load(folder: Path, science: dict[str, Any]) -> dict[str, Any] | None:
    """The state saved in a run folder, on the CPU, or None where there is no checkpoint.

    Raises:
        CheckpointError: it is damaged, of another version, or of a different configuration.
    """
    path = folder / NAME
    (folder / f"{NAME}.tmp").unlink(missing_ok=True)
    if not path.exists():
        return None
    remedy = f"Delete {path} to start this run afresh"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        version, saved, state = content["version"], content["science"], content["state"]
    except (RuntimeError, EOFError, KeyError, TypeError, ValueError, OSError,
            pickle.UnpicklingError, zipfile.BadZipFile):  # fmt: skip
        raise CheckpointError(f"{path} is damaged or no checkpoint.\n{remedy}.") from None
    if version != VERSION:
        raise CheckpointError(f"{path} has format {version}, not {VERSION}.\n{remedy}.")
    if differing := differences(saved, science):
        raise CheckpointError(
            f"{path} was made with another configuration: {'; '.join(differing)}.\n"
            f"{remedy}, or set these back."
        )
    return state


def differences(saved: dict, now: dict, path: str = "") -> list[str]:
    """`key: saved value, now other value` for every key in which two configurations differ."""
    found = []
    for key in sorted(saved.keys() | now.keys()):
        old, new = saved.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{path}{key}.")
        elif old != new:
            found.append(f"{path}{key} was {old}, is now {new}")
    return found


def sync_folder(folder: Path) -> None:
    """Make a rename inside a folder survive a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
