"""Image sets: official files in, verified arrays out, and what is said of wrong ones."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from http.client import BadStatusLine, IncompleteRead, InvalidURL
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from data import sets
from data.arrays import cifar, imageset, svhn
from data.arrays.imageset import (
    KEYS,
    Facts,
    ImageSet,
    canonical,
    channel_statistics,
    check,
    read,
    write,
)
from data.order import DataError


def random_set(seed: int = 0, train: int = 40, test: int = 20) -> ImageSet:
    rng = np.random.default_rng(seed)

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        return images, rng.integers(0, 10, count)

    (x, y), (u, v) = part(train), part(test)
    return ImageSet("cifar10", x, y, u, v, tuple("abcdefghij"))


def shuffled(images: ImageSet) -> ImageSet:
    rng = np.random.default_rng(1)
    a, b = rng.permutation(len(images.train_labels)), rng.permutation(len(images.test_labels))
    return replace(
        images,
        train_images=images.train_images[a],
        train_labels=images.train_labels[a],
        test_images=images.test_images[b],
        test_labels=images.test_labels[b],
    )


def test_order_changes_neither_fingerprint_nor_canonical_set() -> None:
    images = random_set()
    other = shuffled(images)
    assert other.fingerprint == images.fingerprint
    one, two = canonical(images), canonical(other)
    np.testing.assert_array_equal(one.train_images, two.train_images)
    np.testing.assert_array_equal(one.train_labels, two.train_labels)
    np.testing.assert_array_equal(one.test_images, two.test_images)


@pytest.mark.parametrize("change", ["pixel", "label", "split"])
def test_any_change_of_content_changes_the_fingerprint(change: str) -> None:
    images = random_set()
    x, y = images.train_images.copy(), images.train_labels.copy()
    if change == "pixel":
        x[3, 4, 5, 0] ^= 1
    elif change == "label":
        y[3] = (y[3] + 1) % 10
    other = replace(images, train_images=x, train_labels=y)
    if change == "split":
        other = ImageSet("cifar10", images.test_images, images.test_labels, x, y, images.classes)
    assert other.fingerprint != images.fingerprint


def test_channel_statistics_are_those_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.concatenate([random_set().train_images] * 2 + [random_set(1).train_images])
    monkeypatch.setattr(imageset, "PART", 50)  # images at a time: the last part is shorter
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, images.mean((0, 1, 2), dtype=np.float64))
    np.testing.assert_allclose(std, images.std((0, 1, 2), dtype=np.float64))


def test_an_array_file_keeps_everything(tmp_path: Path) -> None:
    images = random_set()
    write(images, tmp_path / "folder" / "cifar10.npz")
    again = read(tmp_path / "folder" / "cifar10.npz", "cifar10")
    np.testing.assert_array_equal(again.train_images, images.train_images)
    np.testing.assert_array_equal(again.test_labels, images.test_labels)
    assert again.classes == images.classes
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["cifar10.npz"]


def planes(images: np.ndarray) -> np.ndarray:
    """The layout of the official CIFAR files: red, green and blue plane, row by row."""
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def write_cifar10(images: ImageSet, folder: Path) -> None:
    """The official Python version of CIFAR-10, as its page describes it."""
    top = folder / "cifar-10-batches-py"
    top.mkdir(parents=True)
    fifth = len(images.train_labels) // 5
    parts = {f"data_batch_{k + 1}": slice(k * fifth, (k + 1) * fifth) for k in range(5)}
    for name, part in parts.items():
        content = {"data": planes(images.train_images[part]),
                   "labels": images.train_labels[part].tolist()}  # fmt: skip
        (top / name).write_bytes(pickle.dumps(content))
    content = {"data": planes(images.test_images), "labels": images.test_labels.tolist()}
    (top / "test_batch").write_bytes(pickle.dumps(content))
    (top / "batches.meta").write_bytes(pickle.dumps({"label_names": list(images.classes)}))


def test_cifar10_is_read_from_official_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import CIFAR10

    images = random_set()
    write_cifar10(images, tmp_path)
    # The files are ours, so they have not the official checksums; nothing is downloaded.
    monkeypatch.setattr(CIFAR10, "download", lambda self: None)
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    built = cifar.build("cifar10", tmp_path)
    np.testing.assert_array_equal(built.train_images, images.train_images)
    np.testing.assert_array_equal(built.train_labels, images.train_labels)
    np.testing.assert_array_equal(built.test_images, images.test_images)
    assert built.classes == images.classes


def test_svhn_is_read_from_official_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import SVHN

    rng = np.random.default_rng(0)
    parts = {}
    for name, count in (("train", 7), ("extra", 5), ("test", 3)):
        x = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        y = rng.integers(1, 11, count)  # the files call the digit 0 label 10
        savemat(tmp_path / f"{name}_32x32.mat",
                {"X": x.transpose(1, 2, 3, 0), "y": y[:, None].astype(np.uint8)})  # fmt: skip
        parts[name] = x, np.where(y == 10, 0, y)
    # As above.
    monkeypatch.setattr(SVHN, "download", lambda self: None)
    monkeypatch.setattr(SVHN, "_check_integrity", lambda self: True)
    built = svhn.build("svhn", tmp_path)
    x = np.concatenate([parts["train"][0], parts["extra"][0]])
    np.testing.assert_array_equal(built.train_images, x)
    y = np.concatenate([parts["train"][1], parts["extra"][1]])
    np.testing.assert_array_equal(built.train_labels, y)
    np.testing.assert_array_equal(built.test_images, parts["test"][0])
    np.testing.assert_array_equal(built.test_labels, parts["test"][1])


def test_digits_are_scikit_learns(digits: ImageSet) -> None:
    from sklearn.datasets import load_digits

    scans = load_digits()
    assert digits.train_images.shape == (1500, 16, 16, 3)
    assert digits.test_images.shape == (297, 16, 16, 3)
    ours = np.concatenate([digits.train_images, digits.test_images])[:, ::2, ::2, 0]
    labels = np.concatenate([digits.train_labels, digits.test_labels])
    theirs = sorted(zip(np.rint(scans.images * 255 / 16).astype(np.uint8).reshape(-1, 64).tolist(),
                        scans.target.tolist(), strict=True))  # fmt: skip
    assert sorted(zip(ours.reshape(-1, 64).tolist(), labels.tolist(), strict=True)) == theirs


def test_a_missing_set_without_network_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr("torchvision.datasets.cifar.CIFAR10.download", offline)
    with pytest.raises(DataError, match=r"(?s)unreachable.*cifar-10-python.tar.gz.*DATA_DIR"):
        sets.load("cifar10", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kept", [0, 100, 60_000])
def test_a_truncated_file_is_named(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cifar10.npz"
    write(random_set(), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="damaged") as caught:
        sets.load("cifar10", tmp_path)
    assert str(path) in str(caught.value) and "make data" in str(caught.value)


def of_huge_arrays(path: Path) -> None:
    """Whose arrays say that they have a terabyte."""
    head = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**12,)}
    np.lib.format.write_array_header_1_0(head, header)
    with zipfile.ZipFile(path, "w") as archive:
        for key in KEYS:
            archive.writestr(f"{key}.npy", head.getvalue() + bytes(1000))


def of_huge_parts(path: Path) -> None:
    """Whose zip archive says so."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train_images.npy", b"")
        archive.infolist()[0].file_size = 10**12


def a_compressed_part_changed(path: Path) -> None:
    np.savez_compressed(path, **{key: np.arange(10_000) for key in KEYS})
    content = bytearray(path.read_bytes())
    content[200:300] = bytes(100)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "make",
    [
        of_huge_arrays, of_huge_parts, a_compressed_part_changed, os.mkfifo, Path.mkdir,
        lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path),
        lambda path: path.write_bytes(b""), lambda path: path.write_text("<html>"),
        lambda path: np.save(path.open("wb"), np.zeros(9)),
        lambda path: np.savez(path, **{key: np.array([{}]) for key in KEYS}),
        lambda path: np.savez(path, **{key: np.array(["text"]) for key in KEYS}),
        lambda path: np.savez(path, x=np.zeros(3)),
    ],
)  # fmt: skip
def test_a_file_that_is_no_set_is_named(make: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "cifar10.npz"
    make(path)
    with pytest.raises(DataError, match=f"{path} is damaged or not an array file") as error:
        read(path, "cifar10")
    assert len(str(error.value).splitlines()) == 2


def test_a_set_of_another_size_is_refused(tmp_path: Path) -> None:
    write(random_set(), tmp_path / "cifar10.npz")
    with pytest.raises(DataError, match=r"train images: found .*40, 32, 32, 3.*expected .*50000"):
        sets.load("cifar10", tmp_path)


def test_a_set_of_ones_own_is_read_in_canonical_order(tmp_path: Path) -> None:
    images = replace(random_set(train=400, test=200), name="pets")
    write(images, tmp_path / "pets.npz")
    found = sets.load("pets", tmp_path)
    assert isinstance(found, ImageSet) and found.fingerprint == images.fingerprint
    np.testing.assert_array_equal(found.train_images, canonical(images).train_images)


@pytest.mark.parametrize("kind", ["array file", "tree"])
def test_data_of_ones_own_called_digits_are_not_taken_for_the_built_in_set(
    kind: str, tmp_path: Path
) -> None:
    if kind == "tree":
        (tmp_path / "digits").mkdir()
    else:
        write(replace(random_set(train=400, test=200), name="digits"), tmp_path / "digits.npz")
    with pytest.raises(DataError, match=r"scikit-learn's set: give .*digits.* another name"):
        sets.load("digits", tmp_path)


@pytest.mark.parametrize("error", [BadStatusLine("x"), IncompleteRead(b"x"), InvalidURL("port")])
def test_a_download_that_fails_says_what_to_do(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("urllib.request.urlopen", fail)
    with pytest.raises(DataError, match=r"could not be fetched.*\n.*put cifar-10-python"):
        sets.load("cifar10", tmp_path)


def test_pictures_may_lie_beside_the_array_file_of_their_name_but_no_tree(tmp_path: Path) -> None:
    write(replace(random_set(train=400, test=200), name="pets"), tmp_path / "pets.npz")
    (tmp_path / "pets" / "cats").mkdir(parents=True)
    assert isinstance(sets.load("pets", tmp_path), ImageSet)
    (tmp_path / "pets" / "train").mkdir()
    with pytest.raises(DataError, match=r"is both .*pets\.npz and the tree"):
        sets.load("pets", tmp_path)


def test_arrays_in_any_order_of_memory_and_names_in_bytes_are_read(tmp_path: Path) -> None:
    images, path = random_set(train=400, test=200), tmp_path / "pets.npz"
    write(replace(images, name="pets"), path)
    expected = sets.load("pets", tmp_path)
    arrays = dict(np.load(path))
    arrays |= {k: np.asfortranarray(arrays[k]) for k in ("train_images", "test_images")}
    np.savez(path, **arrays | {"classes": np.char.encode(arrays["classes"], "utf-8")})
    found = sets.load("pets", tmp_path)
    assert isinstance(expected, ImageSet) and isinstance(found, ImageSet)
    assert found.classes == expected.classes and found.fingerprint == expected.fingerprint
    assert found.train_images.flags.c_contiguous and found.test_images.flags.c_contiguous


def test_the_test_images_of_ones_own_may_lack_a_class(tmp_path: Path) -> None:
    images = random_set(train=400, test=200)
    few = images.test_labels < 7
    some = replace(images, name="pets", test_images=images.test_images[few],
                   test_labels=images.test_labels[few])  # fmt: skip
    write(some, tmp_path / "pets.npz")
    assert sets.load("pets", tmp_path).classes == images.classes
    write(replace(some, test_labels=some.test_labels + 5), tmp_path / "pets.npz")
    with pytest.raises(DataError, match="test labels: found 7 values from 5 to 11"):
        sets.load("pets", tmp_path)


def test_the_test_images_of_official_sets_may_not() -> None:
    """Nor where it is not known how many of them each class has."""
    images = random_set()
    without = replace(images, test_labels=np.minimum(images.test_labels, 8))
    facts = Facts(40, 20, 10, 32)
    for name in ("cifar10", "cifar100", "svhn"):
        with pytest.raises(DataError, match="test labels: found"):
            check(replace(without, name=name), facts)
    check(replace(without, name="own"), facts)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"train_images": np.zeros((40, 32, 32, 3), np.float32)}, "train images: found .*float32"),
        ({"train_images": np.zeros((40, 3, 32, 32), np.uint8)}, ".*channels come last"),
        ({"train_images": np.zeros((40, 32, 32), np.uint8)}, "train images: .* repeated"),
        ({"train_images": np.zeros((40, 32, 32, 1), np.uint8)}, "train images: .* are repeated"),
        ({"train_images": np.zeros((40, 32, 32, 4), np.uint8)}, "train images: .* the fourth"),
        ({"test_images": np.zeros((20, 32, 30, 3), np.uint8)}, "test images: .* are square"),
        ({"test_images": np.zeros((0, 32, 32, 3), np.uint8), "test_labels": np.zeros(0, int)},
         "test images: .* there are none"),
        ({"test_images": np.zeros((20, 16, 16, 3), np.uint8)}, "test images: found .*16, 16, 3"),
        ({"train_images": np.uint8(0)}, "train images: found"),
        ({"train_labels": np.arange(39) % 10}, "train images: found .*: 40 images and 39 labels"),
        ({"train_labels": np.arange(40) % 10 + 1}, "train labels: found 10 values from 1 to 10"),
        ({"train_labels": np.arange(40) % 9}, "train labels: found 9 values from 0 to 8"),
        ({"train_labels": np.eye(40)}, "labels that are not integers"),
        ({"train_labels": np.int64(3)}, "train images: found"),
        ({"classes": np.str_("cat")}, "damaged or not an array file"),
        ({"classes": np.array([])}, "train labels: found"),
        (
            {
                "train_labels": np.arange(40) % 10, "test_labels": np.arange(20) % 10,
                "classes": np.array(["cat", "cat", *"abcdefgh"]),
            },
            "different class names: found 9",
        ),
    ],
)  # fmt: skip
def test_a_set_of_ones_own_is_checked(
    changes: dict[str, np.ndarray], reason: str, tmp_path: Path
) -> None:
    images = random_set()
    content = {key: getattr(images, key) for key in KEYS}
    np.savez(tmp_path / "pets.npz", **content | changes)
    with pytest.raises(DataError, match=f"^pets: .*{reason}") as caught:
        sets.load("pets", tmp_path)
    assert "docs/running.md says" in str(caught.value).splitlines()[1]


def test_an_unknown_set_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match="Did you mean cifar10 or cifar100"):
        sets.load("cifar11", Path())
    with pytest.raises(DataError, match="cifar10, cifar100, svhn, digits"):
        sets.load("mnist", Path())


def test_real_cifar10_has_the_published_statistics(cifar10: ImageSet) -> None:
    mean, std = channel_statistics(cifar10.train_images)
    np.testing.assert_allclose(mean, (125.306918, 122.950394, 113.865383), atol=1e-6)
    np.testing.assert_allclose(std, (62.993219, 62.088708, 66.704900), atol=1e-6)
    assert cifar10.classes[:3] == ("airplane", "automobile", "bird")


def test_cifar100_given_as_cifar10_is_refused(cifar100_file: Path, tmp_path: Path) -> None:
    (tmp_path / "cifar10.npz").symlink_to(cifar100_file.resolve())
    with pytest.raises(DataError, match=r"(?s)cifar10: train labels: found 100.*holds another set"):
        sets.load("cifar10", tmp_path)


def test_one_flipped_bit_of_real_cifar10_is_found(cifar10: ImageSet) -> None:
    x = cifar10.train_images.copy()
    x[123, 4, 5, 1] ^= 1
    with pytest.raises(DataError, match=r"cifar10: (channel statistics|fingerprint)"):
        sets.verify(replace(cifar10, train_images=x))
