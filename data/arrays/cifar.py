"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): published facts, and building their arrays."""

from pathlib import Path

import numpy as np

from data.arrays.imageset import Facts, ImageSet

FACTS = {
    "cifar10": Facts(
        train=50_000,
        test=10_000,
        classes=10,
        size=32,
        mean=(125.306918, 122.950394, 113.865383),
        std=(62.993219, 62.088708, 66.704900),
        per_class=(5_000, 1_000),
        fingerprint="a9d72d0002eb3440",
    ),
    "cifar100": Facts(
        train=50_000,
        test=10_000,
        classes=100,
        size=32,
        mean=(129.304166, 124.069963, 112.434050),
        std=(68.170243, 65.391808, 70.418370),
        per_class=(500, 100),
        fingerprint="d645258f216a08d2",
    ),
}


def build(name: str, folder: Path) -> ImageSet:
    """Download the official archive with torchvision, which verifies its checksum, and decode it.

    The archive and the extracted files stay in `folder`; existing ones are reused.
    """
    from torchvision import datasets

    source = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    train = source(str(folder), train=True, download=True)
    test = source(str(folder), train=False, download=True)
    return ImageSet(
        name,
        train_images=train.data,
        train_labels=np.asarray(train.targets, dtype=np.int64),
        test_images=test.data,
        test_labels=np.asarray(test.targets, dtype=np.int64),
        classes=tuple(train.classes),
    )
