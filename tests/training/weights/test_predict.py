"""What eval.py image=... reads: any picture right, or a line that says why not."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.photographs.test_odd_images import RGB, chunk
from training.settings.types import ConfigError
from training.weights.predict import picture


def png(width: int, height: int) -> bytes:
    """A PNG whose head promises a size that its data lack."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, RGB, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"x")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_of_sixteen_bits_the_upper_eight_are_seen(name: str, order: str, tmp_path: Path) -> None:
    values = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(values.astype(order)).save(tmp_path / name)
    seen = picture(tmp_path / name)
    assert seen.shape == (3, 64, 64) and seen.dtype == torch.uint8
    expected = np.floor(values / 256)
    assert all((channel.numpy() == expected).all() for channel in seen)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_of_a_telephone_is_upright(orientation: int, tmp_path: Path) -> None:
    """What is stored by an orientation is what a viewer shows (EXIF 2.3, tag 274)."""
    upright = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3)
    mirrored, turned = upright[:, ::-1], upright[::-1, ::-1]
    stored = {
        1: upright, 2: mirrored, 3: turned, 4: upright[::-1], 5: upright.swapaxes(0, 1),
        6: np.rot90(upright), 7: turned.swapaxes(0, 1), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "x.png", exif=exif)
    assert (picture(tmp_path / "x.png").permute(1, 2, 0).numpy() == upright).all()


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB"]
)
@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tif", "webp", "bmp"])
def test_any_mode_becomes_colour(mode: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    try:
        Image.new(mode, (5, 3)).save(path)
    except (OSError, KeyError, ValueError):
        pytest.skip("Pillow writes no such file")
    assert picture(path).shape == (3, 3, 5)


def write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (write(png(60_000, 60_000)), "more pixels than Pillow accepts"),
        (write(png(2**31 - 1, 2**31 - 1)), "more pixels than Pillow accepts"),
        (write(png(12_000, 10_000)), "not a picture that Pillow can read"),
        (write(png(0, 0)), "not a picture that Pillow can read"),
        (write(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "not a picture that Pillow can read"),
        (os.mkfifo, "not a file"),
        (Path.mkdir, "Is a directory"),
        (lambda path: path.symlink_to(path), "symbolic links"),
        (lambda path: path.symlink_to("/dev/zero"), "not a file"),
        (
            lambda path: Image.new("RGB", (5_000, 1)).save(path),
            "5000 x 1 pixels is too narrow a strip",
        ),
        (lambda path: Image.new("F", (9, 9)).save(path, "TIFF"), "have no known range"),
        (lambda path: Image.new("I", (9, 9)).save(path, "TIFF"), "have no known range"),
    ],
)
def test_what_cannot_be_seen_is_named(
    make: Callable[[Path], object], reason: str, tmp_path: Path
) -> None:
    make(tmp_path / "x.png")
    with pytest.raises(ConfigError, match=reason) as error:
        picture(tmp_path / "x.png")
    assert str(error.value).startswith(f"image={tmp_path}/x.png: ")
    assert "\n" not in str(error.value)


def test_a_picture_cut_anywhere_is_named_or_whole(tmp_path: Path) -> None:
    path, noise = tmp_path / "x", np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"):
        Image.fromarray(noise).save(path, kind)
        content, whole = path.read_bytes(), picture(path)
        for size in range(0, len(content), max(1, len(content) // 25)):
            path.write_bytes(content[:size])
            try:
                seen = picture(path)
            except ConfigError:
                continue
            assert (seen == whole).all(), (kind, size)
