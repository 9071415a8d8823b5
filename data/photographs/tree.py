"""Folder trees of images, `<split>/<class>/*.JPEG`: listing them without reading the images."""

import hashlib
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.order import DataError

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
LISTED_AT_ONCE = 16  # folders: network storage takes a millisecond for each file
UNREADABLE = -1  # size of anything but a file, such as a broken link


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

    def path(self, index: int) -> Path:
        """An image's path, where it was listed."""
        return self.folder / str(self.paths[index])

    def file(self, index: int) -> Path:
        """Return an image's path, checked against the listing so that the fingerprint stays valid.

        Raises:
            DataError: it cannot be read as a file, or its size has changed.
        """
        path, size = self.path(index), int(self.sizes[index])
        now = _size(path)
        if now == UNREADABLE:
            raise DataError(f"{path} cannot be read: a broken link, not a file, or no permission.")
        if now != size:
            raise DataError(
                f"{path} has {now:,} bytes, and had {size:,} when its folder was listed.\n"
                "Restore it, or start again if the change is intended."
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
    names = sorted(
        _legible(entry.name, folder) for entry in entries if not entry.name.startswith(".")
    )
    if len(names) != (classes or len(names)) or not names:
        raise DataError(f"{folder} has {len(names)} class folders, expected {classes or 'some'}.")
    paths, labels, sizes = list[str](), list[int](), list[int]()
    others = list[Path]()
    with ThreadPoolExecutor(LISTED_AT_ONCE) as pool:
        listed = list(pool.map(_files, [folder / name for name in names]))
    for label, (name, (images, rest)) in enumerate(zip(names, listed, strict=True)):
        if not images:
            raise DataError(f"{folder / name} holds no image ({', '.join(SUFFIXES)}).")
        paths += [f"{name}/{file}" for file in images]
        labels += [label] * len(images)
        sizes += images.values()
        others += rest
    if others:
        kinds = ", ".join(SUFFIXES)
        print(f"{folder}: {len(others):,} files are not read, such as {others[0]}: images are "
              f"{kinds}, directly in the folder of their class.", file=sys.stderr)  # fmt: skip
    # Every forked worker that reads a list of a million strings would copy it, because reading
    # changes reference counts.
    texts = np.array(paths, np.dtypes.StringDType())
    return Tree(folder, tuple(names), texts, np.array(labels, np.int64), np.array(sizes, np.int64))


def fingerprint(splits: dict[str, Tree]) -> str:
    """Hash of the names and sizes of all files, 16 hex digits; their content is not read."""
    state = hashlib.sha256()
    for name, tree in sorted(splits.items()):
        state.update(f"{name} {len(tree)}\n".encode())
        for path, size in zip(tree.paths, tree.sizes.tolist(), strict=True):
            state.update(f"{path} {size}\n".encode())
    return state.hexdigest()[:16]


def _files(folder: Path) -> tuple[dict[str, int], list[Path]]:
    """The images of a class, sorted, with their sizes in bytes, and whatever else is there, but for
    hidden files."""
    images, others = dict[str, int](), list[Path]()
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if entry.name.lower().endswith(SUFFIXES):
            images[_legible(entry.name, folder)] = _size(entry)
        else:
            others.append(folder / entry.name)
    return images, others


def _size(file: Path | os.DirEntry[str]) -> int:
    """Size of a file in bytes, or `UNREADABLE`."""
    try:
        state = file.stat()
    except OSError:
        return UNREADABLE
    return state.st_size if stat.S_ISREG(state.st_mode) else UNREADABLE


def _legible(name: str, folder: Path) -> str:
    """Return a name, or raise a DataError if it is not UTF-8: torchvision cannot open it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(f"{folder} holds a name that is not UTF-8: {name!a}; rename it.") from None
    return name


def check_sizes(tree: Tree, remedy: str = "") -> None:
    """Raise a DataError naming the first empty file or broken link, if there is one, without
    reading any file. `remedy` is appended to the message."""
    if len(empty := np.flatnonzero(tree.sizes <= 0)):
        others = f", as are {len(empty) - 1} others" if len(empty) > 1 else ""
        what = "empty" if tree.sizes[empty[0]] == 0 else "not a readable file"
        raise DataError(f"{tree.path(empty[0])} is {what}{others}.\nFetch it again{remedy}.")
