"""Image sets as arrays: one verified file per set, in canonical order, with a fingerprint."""

import hashlib
import os
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data.order import DataError
from records.files import no_pipe, written_whole

MADE = ("cifar10", "cifar100", "svhn")  # built by `make data` from official files
PART = 10_000  # images that are counted at a time
KEYS = ("train_images", "train_labels", "test_images", "test_labels", "classes")


@dataclass(frozen=True)
class ImageSet:
    """An image set held in memory.

    Attributes:
        train_images, test_images: uint8 (N, H, W, 3), RGB.
        train_labels, test_labels: int64 (N,).
        classes: class names, in label order.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]

    @property
    def train_count(self) -> int:
        """Number of training images."""
        return len(self.train_images)

    @property
    def size(self) -> int | None:
        """Height and width of every image in pixels."""
        return int(self.train_images.shape[1])

    @property
    def fingerprint(self) -> str:
        """Hash of images, labels and split, independent of their order: 16 hex digits."""
        train = np.sort(image_hashes(self.train_images, self.train_labels))
        test = np.sort(image_hashes(self.test_images, self.test_labels))
        return hashlib.sha256(train.tobytes() + b"|" + test.tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class Facts:
    """Published facts about a data set, to check a file against; None if not published exactly.

    `mean` and `std` are the channel statistics of the training images on the scale 0 to 255;
    `per_class` is the number of training and of test images in each class.
    """

    train: int
    test: int
    classes: int
    size: int
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    per_class: tuple[int, int] | None = None
    fingerprint: str | None = None


def image_hashes(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """SHA-256 of each image followed by its label (int64): array (N,) of 32-byte strings."""
    digests = [
        hashlib.sha256(image.tobytes() + int(label).to_bytes(8, "little")).digest()
        for image, label in zip(images, labels, strict=True)
    ]
    # Fixed-width void, because NumPy strips trailing zero bytes from "S" values.
    return np.frombuffer(b"".join(digests), dtype="V32").view([("h", "V32")])["h"]


def canonical(images: ImageSet) -> ImageSet:
    """Sort a set by image hash, so that a seed means the same run everywhere."""

    def order(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        hashes = image_hashes(x, y)
        return np.array(sorted(range(len(x)), key=lambda i: hashes[i].tobytes()), dtype=np.int64)

    train = order(images.train_images, images.train_labels)
    test = order(images.test_images, images.test_labels)
    return replace(
        images,
        train_images=images.train_images[train],
        train_labels=images.train_labels[train],
        test_images=images.test_images[test],
        test_labels=images.test_labels[test],
    )


def read(path: Path, name: str) -> ImageSet:
    """Read an array file.

    Raises:
        DataError: the file is missing, damaged or lacks an array.
    """
    try:
        with zipfile.ZipFile(no_pipe(path)) as archive:
            size, memory = sum(part.file_size for part in archive.infolist()), memory_bytes()
            if size > memory:
                raise ValueError(f"{size:,} bytes of arrays, and {memory:,} of memory here")
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in KEYS}
        images = {k: np.ascontiguousarray(arrays[k]) for k in ("train_images", "test_images")}
        labels = {k: arrays[k] for k in ("train_labels", "test_labels")}
        if any(array.dtype.kind not in "iu" for array in labels.values()):
            raise ValueError("labels that are not integers")
        labels = {k: array.astype(np.int64) for k, array in labels.items()}
        classes = arrays["classes"]
        names = np.char.decode(classes, "utf-8") if classes.dtype.kind == "S" else classes
        return ImageSet(name, **images, **labels, classes=tuple(map(str, names)))
    except FileNotFoundError:
        raise DataError(f"{name}: no file {path}.\nRun `make data DATASET={name}`.") from None
    except (OSError, ValueError, TypeError, EOFError, KeyError, NotImplementedError, MemoryError,
            zlib.error, zipfile.BadZipFile) as error:  # fmt: skip
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{name}: {path} is damaged or not an array file of this suite ({reason}).\n"
            f"{_remedy(name)}"
        ) from None


def memory_bytes() -> int:
    """Main memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def write(images: ImageSet, path: Path) -> None:
    """Write an array file atomically: no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as file:
        np.savez(
            file,
            train_images=images.train_images,
            train_labels=images.train_labels.astype(np.uint8),
            test_images=images.test_images,
            test_labels=images.test_labels.astype(np.uint8),
            classes=np.array(images.classes),
        )


def check(images: ImageSet, facts: Facts) -> None:
    """Raise a DataError if a set's types, sizes, labels, statistics or fingerprint differ from the
    published ones; the message says which."""
    name, size = images.name, facts.size
    for split, count in (("train", facts.train), ("test", facts.test)):
        x, y = getattr(images, f"{split}_images"), getattr(images, f"{split}_labels")
        found = (x.dtype.name, x.shape, y.shape)
        if name not in MADE and (hint := _hint(x, y)):
            what = f"{name}: {split} images: found {_short(found)}"
            raise DataError(f"{what}: {hint}.\n{_remedy(name)}")
        _expect(name, f"{split} images", found, ("uint8", (count, size, size, 3), (count,)))
        known, labels = set(range(facts.classes)), set(y.tolist())
        if name in MADE or split == "train" or not labels <= known:  # few may be tested on
            _expect(name, f"{split} labels", labels, known)
    _expect(name, "number of different class names", len(set(images.classes)), facts.classes)
    for split, per_class in zip(("train", "test"), facts.per_class or (), strict=False):
        counts = set(np.bincount(getattr(images, f"{split}_labels")).tolist())
        _expect(name, f"{split} images a class", counts, {per_class})
    if facts.mean and facts.std:
        mean, std = channel_statistics(images.train_images)
        if not np.allclose([mean, std], [facts.mean, facts.std], rtol=0, atol=1e-5):
            _expect(name, "channel statistics", (mean, std), (facts.mean, facts.std))
    if facts.fingerprint:
        _expect(name, "fingerprint", images.fingerprint, facts.fingerprint)


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Exact channel means and population standard deviations of uint8 images (N, H, W, 3), on the
    scale 0 to 255."""
    levels = np.arange(256, dtype=np.float64)
    means, stds = [], []
    for channel in range(images.shape[-1]):
        counts = np.zeros(256, np.int64)
        for k in range(0, len(images), PART):  # a part at a time: counting takes 8 bytes a value
            counts += np.bincount(images[k : k + PART, ..., channel].ravel(), minlength=256)
        mean = (counts * levels).sum() / counts.sum()
        means.append(float(mean))
        stds.append(float(np.sqrt((counts * (levels - mean) ** 2).sum() / counts.sum())))
    return tuple(means), tuple(stds)


def _expect(name: str, what: str, found: object, expected: object) -> None:
    if found != expected:
        raise DataError(
            f"{name}: {what}: found {_short(found)}, expected {_short(expected)}.\n"
            f"The file is damaged or holds another set. {_remedy(name)}"
        )


def _hint(x: np.ndarray, y: np.ndarray) -> str | None:
    """What to change in images and labels of a user's own, if they have not the right form."""
    if x.ndim == 4 and x.shape[1] == 3 != x.shape[3]:
        return "channels come last, where transpose(0, 2, 3, 1) moves them"
    if x.ndim == 3 or (x.ndim == 4 and x.shape[3] == 1):
        return "grey images are repeated to three channels (numpy.repeat)"
    if x.ndim == 4 and x.shape[3] == 4:
        return "images have three channels, red, green and blue; leave out the fourth"
    if x.dtype != np.uint8:
        return "pixels are uint8 from 0 to 255"
    if x.ndim == 4 and x.shape[1] != x.shape[2]:
        return "images are square"
    if x.ndim == 4 and y.ndim == 1 and len(x) != len(y):
        return f"{len(x)} images and {len(y)} labels"
    return "there are none" if x.ndim == 4 and not len(x) else None


def _remedy(name: str) -> str:
    if name in MADE:
        return f"Delete it and run `make data DATASET={name}`."
    return "docs/running.md says what a data file of your own must contain."


def _short(value: object) -> str:
    if isinstance(value, set) and len(value) > 4:
        return f"{len(value)} values from {min(value)} to {max(value)}"
    return str(value)


def random_images(count: int) -> ImageSet:
    """Random images in CIFAR-10's shape for timing steps; the content does not affect the time."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    y, test = rng.integers(0, 10, count), min(count, 1000)
    return ImageSet("random", x, y, x[:test], y[:test], tuple("0123456789"))
