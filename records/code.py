"""The code behind a run: its hash, its commit and any uncommitted changes."""

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

# The same files as git pathspecs, so that git skips everything else.
WATCHED = [f":(glob){name}/**/*{suffix}" for name in CODE for suffix in SUFFIXES] + ["train.py"]


def code_hash() -> str:
    """Hash of every file that affects a run's result: 16 hex digits."""
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
    """`code_hash` of a commit, or None if this repository does not have it."""
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
    """Git commit and whether the code is clean; without .git, the commit is SOURCE_COMMIT."""
    changed = uncommitted()
    if changed is None:
        return {"commit": os.environ.get("SOURCE_COMMIT") or None, "clean": None}
    return {"commit": _git("rev-parse", "HEAD").decode().strip(), "clean": not changed}


def uncommitted() -> list[str] | None:
    """Files in `CODE` with uncommitted changes, or None if git cannot tell."""
    if not (ROOT / ".git").exists():
        return None
    try:
        _git("rev-parse", "HEAD")
        how = ("--porcelain", "-z", "--no-renames", "--untracked-files=all")
        status = _git("status", *how, "--", *WATCHED)
    except (OSError, subprocess.SubprocessError):
        return None
    # Only files that enter the hash count: data or notebook copies may lie beside the code.
    return [entry[3:] for entry in os.fsdecode(status).split("\0") if entry.endswith(SUFFIXES)]


def in_words(changed: list[str]) -> str:
    """Summarise the changed files on one line."""
    first = changed[0] if changed[0].isprintable() else ascii(changed[0])
    if len(changed) == 1:
        return f"{first} has uncommitted changes"
    return f"{first} and {len(changed) - 1} more have uncommitted changes"


def _git(*arguments: str) -> bytes:
    # Of this checkout, whoever owns it, as in a container, and whatever repository a hook is of.
    how = ["-c", f"safe.directory={ROOT}", "-c", "core.fileMode=false"]
    others = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    environment = {name: value for name, value in os.environ.items() if name not in others}
    return subprocess.run(
        ["git", *how, *arguments], cwd=ROOT, env=environment, capture_output=True, check=True,
        timeout=30,
    ).stdout  # fmt: skip
