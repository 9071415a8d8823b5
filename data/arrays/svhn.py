"""SVHN, cropped digits (Netzer et al. 2011): training and extra images together, and test."""

from pathlib import Path

import numpy as np

from data.arrays.imageset import ImageSet

# The papers train on the official training and extra sets together: 73,257 + 531,131 images.
# Channel statistics of that union are not published in an exact form, so none are checked.
TRAIN, EXTRA, TEST = 73_257, 531_131, 26_032
PARTS = ("train", "extra", "test")


def build(name: str, folder: Path) -> ImageSet:
    """Fetch the three official files through torchvision (checksummed) and read them."""
    from torchvision.datasets import SVHN
    from torchvision.datasets.utils import download_url

    for part in PARTS:
        url, filename, checksum = SVHN.split_list[part]
        download_url(url, str(folder), filename, checksum)
    return from_files(name, folder)


def from_files(name: str, folder: Path) -> ImageSet:
    """Read `train_32x32.mat`, `extra_32x32.mat` and `test_32x32.mat` in `folder`."""
    parts = [read_mat(folder / f"{part}_32x32.mat") for part in PARTS]
    (train_x, train_y), (extra_x, extra_y), (test_x, test_y) = parts
    return ImageSet(
        name,
        train_images=np.concatenate([train_x, extra_x]),
        train_labels=np.concatenate([train_y, extra_y]),
        test_images=test_x,
        test_labels=test_y,
        classes=tuple(map(str, range(10))),
    )


def read_mat(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 32, 32, 3) and labels int64 (N,); the files write digit 0 as label 10."""
    from scipy.io import loadmat

    content = loadmat(str(path))
    images = np.ascontiguousarray(content["X"].transpose(3, 0, 1, 2))
    return images, content["y"].astype(np.int64).ravel() % 10
