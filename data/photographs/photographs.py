"""Sets of photographs as folder trees: how one is decoded, cropped and resized.

Everything here works on one image on the CPU and leaves it in bytes; colours, and the mean, are
changed in whole batches on the device (`data.photographs.colour`).
"""

import re
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
CLASSES = {"imagenet": 1000}  # of the sets that have a fixed number
# Channel statistics of ImageNet's training images, 0 to 255 (fb.resnet.torch, imagenet.lua).
MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)
# Short sides beside a crop of 224, as in the papers; other sizes in proportion.
CROP, SHORT, LOW, HIGH = 224, 256, 256, 480
STRIP = 100  # times as long as wide, and no photograph
IN_TORCHVISION = re.compile(r"^\w+, \S+\.cpp:\d+, ")  # where it says an error came from
View = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Photographs:
    """A set of photographs that is read while it is used."""

    name: str
    train: Tree
    test: Tree

    size: ClassVar[int | None] = None  # they are of all sizes

    @property
    def train_count(self) -> int:
        """Training images."""
        return len(self.train)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.train.classes

    @property
    def fingerprint(self) -> str:
        """Hash over the names and sizes of all files: 16 hex digits."""
        return fingerprint({"train": self.train, "val": self.test})


def read(name: str, folder: Path) -> Photographs:
    """The set `<folder>/<name>/{train,val}/<class>/`.

    Raises:
        DataError: there is no such tree, or one with other classes than it should have, or a test
            image is empty.
    """
    expected = CLASSES.get(name)
    train = read_tree(folder / name / "train", expected)
    test = read_tree(folder / name / "val", len(train.classes))
    if train.classes != test.classes:
        odd = sorted(set(train.classes) ^ set(test.classes))[0]
        raise DataError(f"{folder / name}: class {odd} is in one of train and val only.")
    check_sizes(test)
    return Photographs(name, train, test)


def decode(path: Path) -> Tensor:
    """An image file as uint8 (3, H, W), RGB whatever it was: of 16 bits the upper 8, of what is
    transparent the colour.

    Raises:
        DataError: it is damaged, or no image, or not a single one, or a strip.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = decode_image(str(path), mode=ImageReadMode.RGB)
        return _eight_bits(image)
    except (RuntimeError, OSError, ValueError) as error:
        reason = IN_TORCHVISION.sub("", str(error).splitlines()[0]).split(". ")[0].rstrip(".")
        raise DataError(
            f"{path} is damaged or no image ({reason}).\nFetch it again, or delete it."
        ) from None


def _eight_bits(image: Tensor) -> Tensor:
    """A photograph in bytes; a ValueError where it is none."""
    if image.ndim != 3:
        raise ValueError(f"an animation of {len(image)} images")
    height, width = image.shape[1:]
    if max(height, width) > STRIP * min(height, width):  # resized, it would take all memory
        raise ValueError(f"{width} x {height} pixels")
    return image if image.dtype == torch.uint8 else (image.int() >> 8).byte()


def training_view(crop: str, size: int, high: int = HIGH) -> View:
    """A random crop, flipped or not: uint8 (3, H, W) to (3, size, size).

    Args:
        crop: `scale`: the short side becomes 256 to `high` pixels long (for crops of 224), then a
            square of the image (He et al. 2015, Section 3.4, with 480); `aspect`: 8 to 100 % of the
            area in an aspect ratio of 3/4 to 4/3 (fb.resnet.torch, imagenet.lua).

    Draws from PyTorch's global generator.
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
    """The centre of an image: uint8 (3, H, W) to (3, size, size).

    Args:
        short: length of the short side before the crop; 256 / 224 of `size` by default.
    """
    return v2.Compose([v2.Resize(short or round(SHORT * size / CROP)), v2.CenterCrop(size)])
