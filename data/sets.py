"""Image sets by name: loads them, and builds the missing ones.

python -m data.sets cifar10          (or cifar100, svhn; `make data DATASET=...`)
"""

import errno
import fcntl
import os
import sys
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path

from data.arrays import cifar, digits, svhn
from data.arrays.imageset import MADE, Facts, ImageSet, canonical, check, read, write
from data.order import DataError
from data.photographs import photographs
from data.photographs.photographs import Photographs
from records.command import guarded
from records.names import datasets
from records.words import did_you_mean, nearest

KNOWN = ("cifar10", "cifar100", "svhn", "digits", "imagenet")
FACTS = cifar.FACTS | svhn.FACTS
# Official files of each set, and the authors' sites that offer them.
FILES = {
    "cifar10": "cifar-10-python.tar.gz (www.cs.toronto.edu/~kriz)",
    "cifar100": "cifar-100-python.tar.gz (www.cs.toronto.edu/~kriz)",
    "svhn": "{train,test,extra}_32x32.mat (ufldl.stanford.edu/housenumbers)",
}


def load(name: str, folder: Path) -> ImageSet | Photographs:
    """Load and verify a data set: arrays in canonical order, or a tree of photographs.

    Args:
        name: one of `KNOWN`, or the name of an array file or a folder tree of photographs. The
            array files of CIFAR and SVHN are built first if missing.
        folder: folder of `<name>.npz`, or of the tree `<name>/{train,val}/<class>/`.

    Raises:
        DataError: the set is missing and cannot be fetched, cannot be read, is damaged, or is not
            what it claims to be.
        OSError: the name is too long.
    """
    try:
        return _load(name, folder)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise
        raise DataError(
            f"{name}: {error.filename}: {error.strerror}.\nDATA_DIR names the folder of data sets."
        ) from None


def _load(name: str, folder: Path) -> ImageSet | Photographs:
    path, tree = folder / f"{name}.npz", folder / name
    if name == "digits":
        if path.exists() or tree.is_dir():
            there = path if path.exists() else tree
            raise DataError(f"digits is scikit-learn's set: give {there} another name.")
        return digits.build()
    if name not in MADE and path.exists() and (tree / "train").is_dir():
        raise DataError(f"{name} is both {path} and the tree {tree}: rename one of them.")
    if name not in MADE and not path.exists():
        if name not in KNOWN and not tree.is_dir():
            known = did_you_mean(nearest(name, KNOWN)) or f"There are {', '.join(KNOWN)}."
            raise DataError(
                f"Unknown data set {name!r}: there is no {path}, and no {tree}/{{train,val}}/"
                f"<class>/. {known}\nDATA_DIR names the folder of data sets."
            )
        return photographs.read(name, folder)
    if not path.exists():
        _fetch(name, path)
    images = read(path, name)
    verify(images)
    return canonical(images)


def training_images(name: str) -> int:
    """Number of training images of a known set, including held-out ones."""
    if name in FACTS:
        return FACTS[name].train
    return {"digits": digits.TRAIN, "imagenet": photographs.TRAIN}[name]


def verify(images: ImageSet) -> None:
    """Raise a DataError if a set differs from the published facts about it, or, for other sets, is
    inconsistent."""
    of_arrays = Facts(
        train=images.train_labels.size, test=images.test_labels.size,
        classes=len(images.classes), size=max(images.train_images.shape[1:2], default=0),
    )  # fmt: skip
    check(images, FACTS.get(images.name, of_arrays))


def _fetch(name: str, path: Path) -> None:
    """Build an array file from the official files; with several processes, only one does."""
    print(f"{name}: {path} is missing; fetching the official files", flush=True)
    with suppress(OSError):  # reported where the files are written
        path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with suppress(OSError):  # without locks, every process builds it
            handle = os.open(path.parent, os.O_RDONLY)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)  # on the folder itself: leaves no lock file
        if not path.exists():
            images = _build(name, path.parent)
            verify(images)
            write(images, path)


def _build(name: str, folder: Path) -> ImageSet:
    """Build a set from its official files; every failure becomes a DataError with the remedy."""
    try:
        return svhn.build(name, folder) if name == "svhn" else cifar.build(name, folder)
    except (OSError, RuntimeError, ValueError, KeyError, HTTPException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{name}: not in {folder}, or damaged, and it could not be fetched ({reason}).\n"
            f"Without a network, put {FILES[name]} there, or the {name}.npz that "
            f"`make data DATASET={name}` made elsewhere; DATA_DIR names the folder."
        ) from None


@guarded
def main(names: list[str]) -> int:
    """Exit code: 0, 2 if a name is too long, 3 if a set is missing or damaged."""
    for name in names:
        images = load(name, datasets())
        if isinstance(images, Photographs):
            counts = len(images.train), len(images.test)
        else:
            counts = len(images.train_images), len(images.test_images)
        sizes = f"{counts[0]} training and {counts[1]} test images"
        print(f"{name}: {sizes}, fingerprint {images.fingerprint}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
