"""Data sets of photographs as folder trees: decoding, cropping and resizing.

Everything here works on single images on the CPU and keeps them as uint8; colour augmentation and
normalisation run on whole batches on the device (`data.photographs.colour`).
"""

import re
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import InterpolationMode, v2

from data.order import DataError
from data.photographs.tree import Tree, check_sizes, fingerprint, read_tree

TRAIN = 1_281_167  # training images of ImageNet (ILSVRC 2012)
CLASSES = {"imagenet": 1000}  # of sets with a fixed number of classes
COUNTS = {"imagenet": (TRAIN, 50_000)}  # training and test images of sets with a fixed number
# Channel statistics of ImageNet's training images, 0 to 255 (fb.resnet.torch, imagenet.lua).
MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)
# Short sides for a crop of 224, as in the papers; other sizes in proportion.
CROP, SHORT, LOW, HIGH = 224, 256, 256, 480
STRIP = 100  # an image with a larger aspect ratio is no photograph
IN_TORCHVISION = re.compile(r"^\w+, \S+\.cpp:\d+, ")  # source location in its error messages
View = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Photographs:
    """A data set of photographs, read from disk as it is used."""

    name: str
    train: Tree
    test: Tree

    size: ClassVar[int | None] = None  # sizes vary

    @property
    def train_count(self) -> int:
        """Number of training images."""
        return len(self.train)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.train.classes

    @property
    def fingerprint(self) -> str:
        """Hash of the names and sizes of all files: 16 hex digits."""
        return fingerprint({"train": self.train, "val": self.test})


def read(name: str, folder: Path) -> Photographs:
    """Read the tree `<folder>/<name>/{train,val}/<class>/`.

    Raises:
        DataError: the tree is missing, its classes are not the expected ones, or a test image is
            empty.
    """
    expected = CLASSES.get(name)
    train = read_tree(folder / name / "train", expected)
    test = read_tree(folder / name / "val", len(train.classes))
    if train.classes != test.classes:
        odd = sorted(set(train.classes) ^ set(test.classes))[0]
        raise DataError(f"{folder / name}: class {odd} is in only one of train and val.")
    check_sizes(test)
    return Photographs(name, train, test)


def check_whole(images: Photographs) -> None:
    """Raise a DataError if images are missing from a set with a fixed number."""
    found = len(images.train), len(images.test)
    if found != (whole := COUNTS.get(images.name, found)):
        raise DataError(
            f"{images.train.folder.parent} has {found[0]:,} training and {found[1]:,} test images, "
            f"not {whole[0]:,} and {whole[1]:,}.\n"
            "Complete it, or train on it as images of your own (docs/photographs.md)."
        )


def read_image(tree: Tree, index: int, seconds: float) -> Tensor:
    """Decode an image of a tree; if that fails, as it may for a moment on network storage, try once
    more some seconds later. Errors as of `decode`."""
    try:
        return decode(tree.file(index))
    except DataError:
        time.sleep(seconds)
        return decode(tree.file(index))


def decode(path: Path) -> Tensor:
    """Decode an image file to uint8 RGB (3, H, W): 16-bit values keep their upper 8 bits,
    transparency is dropped.

    Raises:
        DataError: the file is damaged, is not an image, is animated, or is a narrow strip.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = decode_image(str(path), mode=ImageReadMode.RGB)
        return _eight_bits(image)
    except (RuntimeError, OSError, ValueError) as error:
        reason = IN_TORCHVISION.sub("", str(error).splitlines()[0]).split(". ")[0].rstrip(".")
        raise DataError(f"{path} is damaged or not an image ({reason}).\nFetch it again.") from None


def _eight_bits(image: Tensor) -> Tensor:
    """Convert a photograph to uint8; raise a ValueError if it is animated or a narrow strip."""
    if image.ndim != 3:
        raise ValueError(f"an animation of {len(image)} images")
    height, width = image.shape[1:]
    if max(height, width) > STRIP * min(height, width):  # resizing it would exhaust memory
        raise ValueError(f"{width} x {height} pixels")
    return image if image.dtype == torch.uint8 else (image.int() >> 8).byte()


def training_view(crop: str, size: int, high: int = HIGH) -> View:
    """Return a transform that crops and flips at random: uint8 (3, H, W) to (3, size, size).

    It draws from PyTorch's global generator.

    Args:
        crop: `scale`: resize the short side to 256 to `high` pixels (for crops of 224), then cut
            out a square (He et al. 2015, Section 3.4, with 480); `aspect`: 8 to 100 % of the area
            at an aspect ratio of 3/4 to 4/3 (fb.resnet.torch, imagenet.lua).
    """
    if crop == "aspect":
        cut: list[torch.nn.Module] = [
            v2.RandomResizedCrop(size, interpolation=InterpolationMode.BICUBIC)
        ]
    else:
        sides = range(round(LOW * size / CROP), round(high * size / CROP) + 1)
        cut = [v2.RandomShortestSize(list(sides)), v2.RandomCrop(size)]
    return v2.Compose([*cut, v2.RandomHorizontalFlip()])


def test_view(size: int, short: int | None = None) -> View:
    """Return a transform that resizes and crops the centre: uint8 (3, H, W) to (3, size, size).

    Args:
        short: length of the short side before the crop; by default 256 / 224 of `size`.
    """
    return v2.Compose([v2.Resize(short or round(SHORT * size / CROP)), v2.CenterCrop(size)])
