"""Contrast normalisation and whitening against their definitions, and the numbers of real CIFAR."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.arrays.imageset import ImageSet, write
from data.arrays.prepared import normalise_contrast, prepared, whitening_of
from data.order import DataError
from data.sets import load
from tests.conftest import real

NOWHERE = Path("nowhere")


def test_an_image_loses_its_mean_and_gets_the_same_norm() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
    images[3] = 77  # without contrast
    for image, found in zip(images, normalise_contrast(images, 55.0), strict=True):
        values = image.ravel() - np.mean(image, dtype=np.float64)
        norm = np.linalg.norm(values)
        np.testing.assert_allclose(found, 55 * values / norm if norm else 0 * values, atol=1e-12)


def test_whitening_is_that_of_singular_values(digits: ImageSet) -> None:
    """x -> (x - m) P, by another decomposition than the code's."""
    x = normalise_contrast(digits.train_images, 55.0)
    mean = x.mean(0)
    _, singular, directions = np.linalg.svd((x - mean) / np.sqrt(len(x)), full_matrices=True)
    values = np.append(np.square(singular), np.zeros(len(directions) - len(singular))) + 0.1
    matrix = directions.T @ np.diag(values**-0.5) @ directions
    found = whitening_of(digits.train_images, 55.0)
    np.testing.assert_allclose(found.mean, mean, atol=1e-9)
    np.testing.assert_allclose(found.matrix, matrix, atol=1e-7)
    whitened = prepared(digits, "zca", 55.0, NOWHERE)
    tested = (normalise_contrast(digits.test_images, 55.0) - mean) @ matrix
    np.testing.assert_allclose(whitened.test_images.reshape(len(tested), -1), tested, atol=1e-4)
    assert whitened.train_images.dtype == whitened.test_images.dtype == np.float32


def test_red_is_normalised_by_what_is_around_each_pixel(digits: ImageSet) -> None:
    """Pixel by pixel, of some digits: a window of 7x7, zeros beyond the edge."""
    found = prepared(digits, "lcn", 1.0, NOWHERE).train_images[:3]
    offsets = np.arange(-3, 4)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / 8)
    window /= window.sum()

    def around(image: np.ndarray) -> np.ndarray:
        padded, (height, width) = np.pad(image, 3), image.shape
        return np.array([[(padded[i : i + 7, j : j + 7] * window).sum() for j in range(width)]
                         for i in range(height)])  # fmt: skip

    x = normalise_contrast(digits.train_images[:3], 1.0).reshape(found.shape)
    for image, result in zip(x, found, strict=True):
        centred = image[..., 0] - around(image[..., 0])
        root = np.sqrt(around(centred**2))
        expected = centred / np.maximum(np.maximum(root, root.mean()), 1e-4)
        np.testing.assert_allclose(result[..., 0], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(result[..., 1:], image[..., 1:], rtol=1e-6)


def test_each_split_is_normalised_by_itself(digits: ImageSet) -> None:
    found = prepared(digits, "gcn", 1.0, NOWHERE)
    for split in ("train_images", "test_images"):
        expected = normalise_contrast(getattr(digits, split), 1.0)
        np.testing.assert_allclose(getattr(found, split).reshape(expected.shape), expected, 1e-6)
    assert prepared(digits, "none", 1.0, NOWHERE) is digits


@pytest.fixture
def small(digits: ImageSet) -> ImageSet:
    """A set of few small images, under a name that has a file."""
    arrays = {
        "train_images": digits.train_images[:50, :4, :4], "train_labels": digits.train_labels[:50],
        "test_images": digits.test_images[:9, :4, :4], "test_labels": digits.test_labels[:9],
    }  # fmt: skip
    return replace(digits, name="few", **{k: np.ascontiguousarray(v) for k, v in arrays.items()})


def test_a_whitened_set_is_kept_beside_its_file_and_belongs_to_it(
    small: ImageSet, tmp_path: Path
) -> None:
    first = prepared(small, "zca", 55.0, tmp_path)
    assert not list(tmp_path.iterdir()), "a set without a file"
    write(small, tmp_path / "few.npz")
    prepared(small, "zca", 55.0, tmp_path)
    path = tmp_path / "few_zca55.npz"
    made = path.stat().st_mtime_ns
    again = prepared(small, "zca", 55.0, tmp_path)
    assert path.stat().st_mtime_ns == made
    np.testing.assert_array_equal(again.train_images, first.train_images)
    np.testing.assert_array_equal(again.test_images, first.test_images)
    other = replace(small, train_images=255 - small.train_images)
    changed = prepared(other, "zca", 55.0, tmp_path)
    assert not np.array_equal(changed.train_images, first.train_images)
    assert path.stat().st_mtime_ns != made


def test_where_nothing_can_be_written_it_is_made_anew(
    small: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    write(small, tmp_path / "few.npz")

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("os.replace", refuse)
    first, again = (prepared(small, "zca", 55.0, tmp_path) for _ in range(2))
    np.testing.assert_array_equal(first.train_images, again.train_images)
    told = capsys.readouterr().err
    assert "few_zca55.npz cannot be saved (Read-only file system)" in told
    assert [path.name for path in tmp_path.iterdir()] == ["few.npz"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "swapped", "empty"])
def test_a_damaged_file_is_named(damage: str, small: ImageSet, tmp_path: Path) -> None:
    write(small, tmp_path / "few.npz")
    prepared(small, "zca", 55.0, tmp_path)
    path = tmp_path / "few_zca55.npz"
    content = bytearray(path.read_bytes())
    if damage == "swapped":  # whole by every sum of the archive, and yet not what was written
        with np.load(path) as file:
            arrays = dict(file)
        arrays["test_images"] = arrays["test_images"] + 1
        np.savez(path, **arrays)
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes({"cut": content[:-500], "flipped": content, "empty": b""}[damage])
    with pytest.raises(DataError, match=r"few_zca55\.npz is damaged; delete it"):
        prepared(small, "zca", 55.0, tmp_path)


# Deviation, least and greatest value after contrast normalisation; greatest eigenvalue and the sum
# of all; trace of the matrix; deviations of whitened training and test images.
REAL = {
    "cifar10": (0.99232, -11.980, 9.380, 467.060, 3250.850, 7921.06, 0.5207, 0.5272),
    "cifar100": (0.99232, -10.819, 9.414, 391.422, 3221.084, 7890.05, 0.5265, 0.5340),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_sets_have_the_known_numbers(name: str) -> None:
    images = load(name, real(name))
    assert isinstance(images, ImageSet)
    std, low, high, largest, total, trace, train, test = REAL[name]
    normalised = prepared(images, "gcn", 55.0, NOWHERE).train_images
    assert float(normalised.std(dtype=np.float64)) == pytest.approx(std, abs=1e-5)
    assert (normalised.min(), normalised.max()) == pytest.approx((low, high), abs=1e-3)
    whitening = whitening_of(images.train_images, 55.0)
    assert np.trace(whitening.matrix) == pytest.approx(trace, abs=0.01)
    values = np.linalg.eigvalsh(whitening.matrix) ** -2
    assert values.min() == pytest.approx(0.1) and values.max() == pytest.approx(largest, abs=1e-3)
    assert values.sum() == pytest.approx(total, abs=1e-3)
    whitened = prepared(images, "zca", 55.0, NOWHERE)
    deviations = [float(x.std(dtype=np.float64)) for x in (whitened.train_images,
                                                          whitened.test_images)]  # fmt: skip
    assert deviations == pytest.approx([train, test], abs=1e-4)
