"""The code that a run is made by: its hash, its commit, and what of it is not committed."""

import hashlib
import io
import os
import re
import subprocess
import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from records.files import ROOT

SUFFIXES = (".py", ".yaml")
CODE = ("conf", "data", "models", "records", "training", "train.py")

# The same for git, which need not look at whatever else lies there.
WATCHED = [f":(glob){name}/**/*{suffix}" for name in CODE for suffix in SUFFIXES] + ["train.py"]


def code_hash() -> str:
    """Hash over every file that decides a run: 16 hex digits."""
    tops = [ROOT / name for name in CODE]
    paths = [path for top in tops for path in ([top] if top.is_file() else top.rglob("*"))]
    return _hash(
        {
            PurePosixPath(path.relative_to(ROOT)): path.read_bytes()
            for path in paths
            if path.suffix in SUFFIXES
        }
    )


@cache
def committed_hash(commit: str) -> str | None:
    """The hash of the code as it was committed; None where this repository has no such commit."""
    if not re.fullmatch("[0-9a-f]{40}", commit):
        return None
    try:
        archive = _git("archive", "--format=tar", commit, "--", *CODE)
    except (OSError, subprocess.SubprocessError):
        return None
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        paths = {PurePosixPath(member.name): tar.extractfile(member) for member in tar}
        return _hash({p: f.read() for p, f in paths.items() if f and p.suffix in SUFFIXES})


def _hash(files: Mapping[PurePosixPath, bytes]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files, key=lambda path: (CODE.index(path.parts[0]), path)):
        digest.update(f"{path}\0".encode() + files[path] + b"\0")
    return digest.hexdigest()[:16]


def commit() -> dict[str, Any]:
    """Git commit and whether the code there was clean; SOURCE_COMMIT stands in for a lost .git."""
    changed = uncommitted()
    if changed is None:
        return {"commit": os.environ.get("SOURCE_COMMIT") or None, "clean": None}
    return {"commit": _git("rev-parse", "HEAD").decode().strip(), "clean": not changed}


def uncommitted() -> list[str] | None:
    """The files that decide a run and are not as they were committed; None where git cannot say."""
    if not (ROOT / ".git").exists():
        return None
    try:
        _git("rev-parse", "HEAD")
        how = ("--porcelain", "-z", "--no-renames", "--untracked-files=all")
        status = _git("status", *how, "--", *WATCHED)
    except (OSError, subprocess.SubprocessError):
        return None
    # Only what the hash reads decides: data or a notebook's copies may lie beside the code.
    return [entry[3:] for entry in os.fsdecode(status).split("\0") if entry.endswith(SUFFIXES)]


def in_words(changed: list[str]) -> str:
    """Changed files in a few words, on one line."""
    first = changed[0] if changed[0].isprintable() else ascii(changed[0])
    if len(changed) == 1:
        return f"{first} has changes that are not committed"
    return f"{first} and {len(changed) - 1} more have changes that are not committed"


def _git(*arguments: str) -> bytes:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, check=True, timeout=30
    ).stdout
