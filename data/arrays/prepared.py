"""Preprocessing of whole data sets: global contrast normalisation, then ZCA whitening or local
contrast normalisation.

All three follow pylearn2 (Goodfellow et al. 2013), whose preprocessed CIFAR many papers use.
"""

import hashlib
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from data.arrays.imageset import ImageSet
from data.order import DataError
from records.files import written_whole

FLAT = 1e-8  # images with a smaller norm have no contrast and are not divided by it
BIAS = 0.1  # added to every eigenvalue
LOCAL_DEVIATION, LOCAL_RADIUS = 2.0, 3  # of the 7x7 Gaussian window, in pixels
LEAST = 1e-4  # lower bound of the local divisor
CHUNK = 2_000  # images processed in float64 at a time
SPLITS = ("train_images", "test_images")


@dataclass(frozen=True)
class Whitening:
    """x -> (x - mean) matrix, with images as rows: mean (D,) and matrix (D, D), float64."""

    mean: np.ndarray
    matrix: np.ndarray

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return (images.reshape(len(images), -1) - self.mean) @ self.matrix


def prepared(images: ImageSet, kind: str, contrast: float, folder: Path) -> ImageSet:
    """Preprocess a set; its images become float32 (N, H, W, 3).

    Whitening takes a minute of CPU time and rounds differently on other machines, so the result is
    cached next to the set's file, if there is one, and read from there.

    Args:
        kind: `none` (the set as it is), `gcn`, `lcn` (then local normalisation) or `zca` (then
            whitening with the statistics of the training images).
        contrast: norm of an image after contrast normalisation.

    Raises:
        DataError: the cached file is damaged.
    """
    if kind == "none":
        return images
    if kind == "gcn":
        return replace(images, **_changed(images, contrast, lambda x: x))
    if kind == "lcn":
        return replace(images, **_changed(images, contrast, normalise_locally))
    kept = (folder / f"{images.name}.npz").exists()
    path = folder / f"{images.name}_zca{contrast:g}.npz"
    if kept and (arrays := _read(path, images.fingerprint)) is not None:
        return replace(images, **arrays)
    whitening = whitening_of(images.train_images, contrast)
    made = _changed(images, contrast, whitening)
    if kept:
        try:
            _write(path, images.fingerprint, made)
        except OSError as error:  # a read-only or full disk
            warning = f"{path} cannot be saved ({error.strerror}): whitening is repeated each time."
            print(warning, file=sys.stderr)
    return replace(images, **made)


def normalise_contrast(images: np.ndarray, contrast: float) -> np.ndarray:
    """Subtract each image's mean over all values, then scale it to the norm `contrast`.

    uint8 (N, H, W, 3) to float64 (N, H * W * 3).
    """
    x = images.reshape(len(images), -1).astype(np.float64)
    x -= x.mean(1, keepdims=True)
    norms = np.sqrt(np.square(x).sum(1, keepdims=True))
    x *= contrast / np.where(norms < FLAT, 1, norms)
    return x


def normalise_locally(images: np.ndarray) -> np.ndarray:
    """Locally normalise the red channel of float64 images (N, H, W, 3) in place.

    From each pixel, subtract the mean around it under a Gaussian window; then divide by the root
    mean square around it, or by the mean of that root over the image if this is larger. Images are
    padded with 0. Red only: the code released by Goodfellow et al. 2013 returns after the first
    channel.
    """
    red = images[..., 0]

    def around(values: np.ndarray) -> np.ndarray:
        sigma, radius = (0, LOCAL_DEVIATION, LOCAL_DEVIATION), (0, LOCAL_RADIUS, LOCAL_RADIUS)
        return gaussian_filter(values, sigma, mode="constant", radius=radius)

    red -= around(red)
    roots = np.sqrt(around(np.square(red)))
    red /= np.maximum(np.maximum(roots, roots.mean((1, 2), keepdims=True)), LEAST)
    return images


def whitening_of(images: np.ndarray, contrast: float) -> Whitening:
    """Compute the ZCA whitening of training images, uint8 (N, H, W, 3): with their covariance plus
    0.1 on its diagonal as V L V', the matrix is V L^(-1/2) V'."""
    dimensions = int(np.prod(images.shape[1:]))
    total, products = np.zeros(dimensions), np.zeros((dimensions, dimensions))
    for _, x in _chunks(images, contrast):
        total += x.sum(0)
        products += x.T @ x
    mean = total / len(images)
    covariance = products / len(images) - np.outer(mean, mean)
    values, vectors = np.linalg.eigh(covariance + BIAS * np.eye(dimensions))
    return Whitening(mean, (vectors * values**-0.5) @ vectors.T)


def _chunks(images: np.ndarray, contrast: float) -> Iterator[tuple[slice, np.ndarray]]:
    for first in range(0, len(images), CHUNK):
        piece = slice(first, first + CHUNK)
        yield piece, normalise_contrast(images[piece], contrast)


def _changed(
    images: ImageSet, contrast: float, change: Callable[[np.ndarray], np.ndarray]
) -> dict[str, Any]:
    """Apply contrast normalisation and then `change`, on (n, H, W, 3), to both splits."""
    made = {}
    for split in SPLITS:
        source = getattr(images, split)
        made[split] = np.empty(source.shape, np.float32)
        for piece, x in _chunks(source, contrast):
            shape = source[piece].shape
            made[split][piece] = change(x.reshape(shape)).reshape(shape)
    return made


def _read(path: Path, fingerprint: str) -> Any:
    """Read the images of a cached file, or None if there is none for this set."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["of"]) != fingerprint:
                return None
            arrays, checksum = {split: file[split] for split in SPLITS}, str(file["checksum"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        arrays, checksum = {}, "unread"
    if _checksum(arrays) != checksum:
        raise DataError(f"{path} is damaged; delete it to have it recreated.")
    return arrays


def _write(path: Path, fingerprint: str, made: dict[str, np.ndarray]) -> None:
    """Write the cached file atomically: no reader sees half of it."""
    with written_whole(path) as file:
        np.savez(file, of=fingerprint, checksum=_checksum(made), **made)  # type: ignore[arg-type]


def _checksum(images: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for split in sorted(images):
        digest.update(np.ascontiguousarray(images[split]).data)
    return digest.hexdigest()
