"""Folder trees of images, `<split>/<class>/*.JPEG`: listing them without reading the images.

Listing a large tree takes minutes on a slow disk, so the listing is kept in an index file and
reused until a folder changes. The file is next to the class folders or, if that is not writable, in
the user's cache.
"""

import hashlib
import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.order import DataError
from records.lock import written_whole

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
INDEX = ".index.json"
VERSION = 2
UNREADABLE = -1  # size of anything but a file, such as a broken link
CACHE = "residual-to-dense"


@dataclass(frozen=True)
class Tree:
    """One split of a tree.

    Attributes:
        folder: folder of the split.
        classes: names of the class folders, in label order.
        paths: strings (N,), image paths relative to `folder`, sorted.
        labels: int64 (N,).
        sizes: int64 (N,), file sizes in bytes, or `UNREADABLE`.
    """

    folder: Path
    classes: tuple[str, ...]
    paths: np.ndarray
    labels: np.ndarray
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def file(self, index: int) -> Path:
        """Return an image's path, checked against the listing so that the fingerprint stays valid.

        Raises:
            DataError: it cannot be read as a file, or its size has changed.
        """
        path, size = self.folder / self.paths[index], int(self.sizes[index])
        now = _size(path)
        if now == UNREADABLE:
            raise DataError(f"{path} cannot be read: a broken link, not a file, or no permission.")
        if now != size:
            kept = [place for place in _places(self.folder) if place.is_file()]
            anew = f", if the change is intended, delete {kept[0]}" if kept else " start again"
            raise DataError(
                f"{path} has {now:,} bytes, and had {size:,} when its folder was listed.\n"
                f"Restore it or{anew}."
            )
        return path


def read_tree(folder: Path, classes: int | None = None) -> Tree:
    """List the images of a split.

    Args:
        classes: expected number of classes; None for any number.

    Raises:
        DataError: the folder is missing, it has another number of classes, a class has no images,
            or a file name is not valid UTF-8.
        OSError: a folder cannot be read.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder} is missing; expected {folder.parent}/{{train,val}}/<class>/.\n"
            "Set DATA_DIR to the folder that holds such a tree."
        )
    entries = [entry for entry in os.scandir(folder) if entry.is_dir()]
    names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    if len(names) != (classes or len(names)) or not names:
        raise DataError(f"{folder} has {len(names)} class folders, expected {classes or 'some'}.")
    listed = _known(folder, names) or _list(folder, names)
    tree = _tree(folder, names, listed)
    _check(tree)
    return tree


def fingerprint(splits: dict[str, Tree]) -> str:
    """Hash of the names and sizes of all files, 16 hex digits; their content is not read."""
    state = hashlib.sha256()
    for name, tree in sorted(splits.items()):
        state.update(f"{name} {len(tree)}\n".encode())
        for path, size in zip(tree.paths, tree.sizes.tolist(), strict=True):
            state.update(f"{path} {size}\n".encode())
    return state.hexdigest()[:16]


def _list(folder: Path, names: list[str]) -> dict[str, Any]:
    """List every image file with its size, by class, and keep the listing for next time."""
    listed: dict[str, Any] = {}
    for name in names:
        files = {}
        for entry in os.scandir(folder / name):
            if entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith("."):
                files[_legible(entry.name, folder / name)] = _size(entry)
        listed[name] = {"changed": _changed(folder / name), "files": dict(sorted(files.items()))}
    if all(min(content["files"].values(), default=1) > 0 for content in listed.values()):
        _keep(folder, listed)  # refilling an empty file would not change its folder
    return listed


def _size(file: Path | os.DirEntry[str]) -> int:
    """Size of a file in bytes, or `UNREADABLE`."""
    try:
        state = file.stat()
    except OSError:
        return UNREADABLE
    return state.st_size if stat.S_ISREG(state.st_mode) else UNREADABLE


def _legible(name: str, folder: Path) -> str:
    """Return a file's name, or raise a DataError if it is not UTF-8: torchvision cannot open it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(
            f"{folder} holds a file whose name is not UTF-8: {name!a}; rename it."
        ) from None
    return name


def _known(folder: Path, names: list[str]) -> dict[str, Any] | None:
    """Return the kept listing, or None if there is none or a class folder has changed since."""
    for path in _places(folder):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            classes: dict[str, Any] = content["classes"]
            same = all(classes[name]["changed"] == _changed(folder / name) for name in names)
            sizes = (size for known in classes.values() for size in known["files"].values())
            same = same and all(isinstance(size, int) and abs(size) < 2**63 for size in sizes)
            if content["version"] == VERSION and same and len(classes) == len(names):
                return classes
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None


def _keep(folder: Path, listed: dict[str, Any]) -> None:
    """Write the index to the first writable place, if there is one."""
    text = json.dumps({"version": VERSION, "classes": listed})
    for path in _places(folder):
        with suppress(OSError):
            if path.parent != folder:
                path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as file:
                file.write(text.encode())
            return


def _places(folder: Path) -> tuple[Path, Path]:
    """Where the index of a split may be: in its folder, or in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return folder / INDEX, cache / CACHE / f"{name}.json"


def _changed(folder: Path) -> int:
    """When a file was last added to or removed from a folder, in nanoseconds since 1970."""
    return folder.stat().st_mtime_ns


def _tree(folder: Path, names: list[str], listed: dict[str, Any]) -> Tree:
    paths, labels, sizes = [], [], []
    for label, name in enumerate(names):
        for file, size in listed[name]["files"].items():
            paths.append(f"{name}/{file}")
            labels.append(label)
            sizes.append(size)
    # Every forked worker that reads a list of a million strings would copy it, because reading
    # changes reference counts.
    texts = np.array(paths, np.dtypes.StringDType())
    return Tree(folder, tuple(names), texts, np.array(labels, np.int64), np.array(sizes, np.int64))


def _check(tree: Tree) -> None:
    """Raise a DataError naming the first class without images, if there is one."""
    counts = np.bincount(tree.labels, minlength=len(tree.classes))
    if len(empty := np.flatnonzero(counts == 0)):
        kinds = ", ".join(SUFFIXES)
        raise DataError(f"{tree.folder / tree.classes[empty[0]]} holds no image ({kinds}).")


def check_sizes(tree: Tree, remedy: str = "") -> None:
    """Raise a DataError naming the first empty file or broken link, if there is one, without
    reading any file. `remedy` is appended to the message."""
    if len(empty := np.flatnonzero(tree.sizes <= 0)):
        others = f", as are {len(empty) - 1} others" if len(empty) > 1 else ""
        what = "empty" if tree.sizes[empty[0]] == 0 else "not a readable file"
        raise DataError(
            f"{tree.folder / tree.paths[empty[0]]} is {what}{others}.\n"
            f"Fetch it again, or delete it{remedy}."
        )
