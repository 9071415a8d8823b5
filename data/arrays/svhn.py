"""SVHN, cropped digits (Netzer et al. 2011): training and extra images combined, and test."""

from pathlib import Path

import numpy as np

from data.arrays.imageset import Facts, ImageSet

# The papers train on the official training and extra sets combined: 73,257 + 531,131 images.
# Exact channel statistics of that union are not published, so none are checked.
FACTS = {"svhn": Facts(train=73_257 + 531_131, test=26_032, classes=10, size=32)}


def build(name: str, folder: Path) -> ImageSet:
    """Download the three official files with torchvision (checksummed) and read them."""
    from torchvision.datasets import SVHN

    def part(split: str) -> tuple[np.ndarray, np.ndarray]:
        images = SVHN(str(folder), split, download=True)
        return np.ascontiguousarray(images.data.transpose(0, 2, 3, 1)), images.labels

    (train_x, train_y), (extra_x, extra_y) = part("train"), part("extra")
    test_x, test_y = part("test")
    return ImageSet(
        name,
        train_images=np.concatenate([train_x, extra_x]),
        train_labels=np.concatenate([train_y, extra_y]),
        test_images=test_x,
        test_labels=test_y,
        classes=tuple(map(str, range(10))),
    )
