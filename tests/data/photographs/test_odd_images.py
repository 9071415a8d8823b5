"""Images of odd depths, modes and kinds: read as what they show, or named."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from data.order import DataError
from data.photographs import photographs
from data.photographs.photographs import decode, training_view
from data.photographs.stream import Stream, decode_all
from training.weights.protocols import evaluate_photographs

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6  # colour types of PNG
RAMP = np.linspace(0, 65535, 20 * 24).astype(np.uint16).reshape(20, 24)
BYTES = (RAMP >> 8).astype(np.uint8)
COLOURS = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
DEEP = np.stack([RAMP, 65535 - RAMP, RAMP // 3], -1)


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png(values: np.ndarray, depth: int, colour: int, *chunks: bytes) -> bytes:
    """A PNG file, written by hand: of whatever depth and colour type."""
    height, width = values.shape[:2]
    rows = values.reshape(height, -1)
    if depth == 16:
        packed = [row.astype(">u2").tobytes() for row in rows]
    else:
        bits = np.unpackbits(rows.astype(np.uint8)[..., None], axis=2)[..., 8 - depth :]
        packed = [np.packbits(row.ravel()).tobytes() for row in bits]
    content = zlib.compress(b"".join(b"\0" + row for row in packed))
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", head), *chunks, chunk(b"IDAT", content), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def grey(levels: np.ndarray) -> np.ndarray:
    return np.repeat(levels[..., None], 3, -1)


def low(depth: int) -> tuple[bytes, np.ndarray]:
    """Grey levels of few bits, and what they are of 255."""
    levels = (np.arange(20 * 24) % 2**depth).reshape(20, 24)
    return png(levels, depth, GREY), grey(levels * (255 // (2**depth - 1)))


INDICES = (np.arange(20 * 24) % 16).reshape(20, 24)
TABLE = np.random.default_rng(1).integers(0, 256, (16, 3), np.uint8)
PLTE = chunk(b"PLTE", TABLE.tobytes())
PICTURE = Image.fromarray(COLOURS)
ALPHA = np.dstack([COLOURS, BYTES])
# A file's content and what it shows; of 16 bits the upper 8, of what is transparent the colour.
READ: dict[str, tuple[bytes, np.ndarray]] = {
    "grey of 1 bit": low(1),
    "grey of 2 bits": low(2),
    "grey of 4 bits": low(4),
    "grey": (png(BYTES, 8, GREY), grey(BYTES)),
    "grey of 16 bits": (png(RAMP, 16, GREY), grey(BYTES)),
    "grey of 16 bits by PIL": (saved(Image.fromarray(RAMP), "PNG"), grey(BYTES)),
    "colour of 16 bits": (png(DEEP, 16, RGB), (DEEP >> 8)),
    "grey and alpha": (png(np.dstack([BYTES, BYTES[::-1]]), 8, GREY_ALPHA), grey(BYTES)),
    "grey and alpha of 16 bits": (png(np.dstack([RAMP, RAMP]), 16, GREY_ALPHA), grey(BYTES)),
    "colour and alpha": (png(ALPHA, 8, RGB_ALPHA), COLOURS),
    "colour and alpha of 16 bits": (png(np.dstack([DEEP, RAMP]), 16, RGB_ALPHA), DEEP >> 8),
    "palette": (png(INDICES, 8, PALETTE, PLTE), TABLE[INDICES]),
    "palette of 4 bits": (png(INDICES, 4, PALETTE, PLTE), TABLE[INDICES]),
    "palette with transparency": (
        png(INDICES, 8, PALETTE, PLTE, chunk(b"tRNS", bytes(range(0, 256, 16)))), TABLE[INDICES]
    ),
    "a transparent colour": (
        png(COLOURS, 8, RGB, chunk(b"tRNS", struct.pack(">HHH", *COLOURS[0, 0]))), COLOURS
    ),
    "a transparent colour of 16 bits": (
        png(DEEP, 16, RGB, chunk(b"tRNS", struct.pack(">HHH", *DEEP[0, 0]))), DEEP >> 8
    ),
    "webp": (saved(PICTURE, "WEBP", lossless=True), COLOURS),
    "webp with alpha": (saved(Image.fromarray(ALPHA), "WEBP", lossless=True, exact=True), COLOURS),
    "an animated png": (saved(PICTURE, "PNG", save_all=True, append_images=[PICTURE]), COLOURS),
    "gif": (saved(Image.fromarray(BYTES), "GIF"), grey(BYTES)),
}  # fmt: skip
OTHER = PICTURE.rotate(180)
REFUSED = {
    "an animated gif": (saved(PICTURE, "GIF", save_all=True, append_images=[OTHER]), "animation"),
    "an animated webp": (saved(PICTURE, "WEBP", save_all=True, append_images=[OTHER]), "nimated"),
    "bmp": (saved(PICTURE, "BMP"), "Unsupported"),
    "tiff": (saved(PICTURE, "TIFF"), "Unsupported"),
    "floating tiff": (saved(Image.fromarray(BYTES.astype(np.float32)), "TIFF"), "Unsupported"),
    "a strip": (png(np.zeros((1, 40_000), np.uint8), 8, GREY), "40000 x 1 pixels"),
    "a claim of 40 gigabytes": (
        png(np.zeros((1, 1), np.uint8), 8, RGB).replace(
            chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, RGB, 0, 0, 0)),
            chunk(b"IHDR", struct.pack(">IIBBBBB", 120_000, 120_000, 8, RGB, 0, 0, 0)),
        ), "",
    ),
    "html": (b"<html><body>404 Not Found</body></html>", "Unsupported"),
    "a png cut off": (png(COLOURS, 8, RGB)[:200], ""),
    "a jpeg cut off": (saved(PICTURE, "JPEG")[:400], ""),
    "a jpeg without its head": (b"\xff" * 30 + saved(PICTURE, "JPEG")[30:], ""),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_what_an_image_shows_is_read(name: str, tmp_path: Path) -> None:
    content, expected = READ[name]
    (tmp_path / "x.png").write_bytes(content)
    found = decode(tmp_path / "x.png")
    assert found.dtype == torch.uint8
    assert np.array_equal(found.permute(1, 2, 0).numpy(), expected)


def test_jpegs_of_other_modes_are_read_as_pil_reads_them(tmp_path: Path) -> None:
    """Lossy: two decoders differ a little."""
    cases = {
        "L": PICTURE.convert("L"), "CMYK": PICTURE.convert("CMYK"), "YCbCr": PICTURE
    }  # fmt: skip
    for name, image in cases.items():
        for options in ({}, {"progressive": True}):
            (tmp_path / "x.jpg").write_bytes(saved(image, "JPEG", quality=95, **options))
            expected = np.asarray(Image.open(tmp_path / "x.jpg").convert("RGB")).astype(int)
            found = decode(tmp_path / "x.jpg").permute(1, 2, 0).numpy().astype(int)
            assert abs(found - expected).max() <= 12, name


@pytest.fixture
def tree_with(tmp_path: Path) -> Callable[[bytes], Path]:
    """A tree of two classes whose first image in one split is of that content."""

    def make(content: bytes, split: str) -> Path:
        for each in ("train", "val"):
            for label in range(2):
                folder = tmp_path / "made" / each / f"n{label}"
                folder.mkdir(parents=True)
                for number in range(2):
                    PICTURE.save(folder / f"{number}.png")
        (tmp_path / "made" / split / "n0" / "0.png").write_bytes(content)
        return tmp_path

    return make


def stream_of(folder: Path, *, damaged: str, workers: int) -> Stream:
    tree = photographs.read("made", folder).train
    return Stream(
        tree, training_view("scale", 16), size=16, kind="none", mean=torch.zeros(3),
        scale=torch.ones(()), batch=2, wrap=True, seed=0, workers=workers, damaged=damaged,
    )  # fmt: skip


def epoch_of(stream: Stream) -> None:
    stream.begin(0, 2)
    for _ in range(2):
        stream.fetch(2)


def evaluated(folder: Path, workers: int) -> None:
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    evaluate_photographs(
        [model], photographs.read("made", folder).test, "single", size=16, short=None,
        mean=torch.zeros(3), scale=torch.ones(3), workers=workers,
    )  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_named_and_skipped_in_training(
    name: str, tree_with: Callable, tmp_path: Path
) -> None:
    content, reason = REFUSED[name]
    tree_with(content, "train")
    with pytest.raises(DataError) as error:
        epoch_of(stream_of(tmp_path, damaged="stop", workers=0))
    text = str(error.value)
    assert "n0/0.png is damaged" in text and reason in text and text.count("\n") < 3
    assert "damaged=skip" in text
    skipping = stream_of(tmp_path, damaged="skip", workers=0)
    epoch_of(skipping)
    assert skipping.facts() == {"damaged": 1}


@pytest.mark.parametrize("workers", [0, 1])
def test_in_testing_it_is_named_without_advice_that_does_nothing(
    workers: int, tree_with: Callable, tmp_path: Path
) -> None:
    tree_with(REFUSED["an animated gif"][0], "val")
    text = ""
    for read in (
        lambda: decode_all(photographs.read("made", tmp_path).test, 16, workers),
        lambda: evaluated(tmp_path, workers),
    ):
        try:
            read()
        except DataError as error:  # a kept one would keep the workers
            text = str(error)
        assert text.startswith(str(tmp_path)) and "n0/0.png is damaged" in text
        assert "skip" not in text and text.count("\n") < 3


def test_sixteen_bits_are_trained_and_tested_on_as_eight(
    tree_with: Callable, tmp_path: Path
) -> None:
    content, expected = READ["colour of 16 bits"]
    tree_with(content, "val")
    image = torch.from_numpy(np.ascontiguousarray(expected).astype(np.uint8)).permute(2, 0, 1)
    found = decode_all(photographs.read("made", tmp_path).test, 16, 0)
    assert torch.equal(found[0], photographs.test_view(16)(image).permute(1, 2, 0))
