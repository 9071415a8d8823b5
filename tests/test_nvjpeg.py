"""Decoding in batches on a device, against the decoding of workers; nvJPEG itself with a GPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from data import nvjpeg, photographs
from data.arrays import DataError
from data.photographs import training_view
from data.stream import Stream
from tests.conftest import save_tree
from training.settings import ConfigError, Settings
from training.source import checked_decoder

SIZE, BATCH = 32, 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten JPEG files a class, of odd sizes: RGB, grey, CMYK and, under the same name, PNG."""
    random = np.random.default_rng(0)

    def picture(label: int, number: int) -> Image.Image:
        pixels = random.integers(0, 256, (5, 6 + number, 3), np.uint8)
        image = Image.fromarray(pixels).resize((40 + 7 * number, 60 - 3 * number))
        return image.convert({3: "L", 5: "CMYK"}.get(number, "RGB"))

    save_tree(tmp_path / "made", picture, 10)
    for path in (tmp_path / "made").rglob("7.JPEG"):
        Image.open(path).save(path, "PNG")
    return tmp_path


def batches(
    folder: Path, decoder: str, device: torch.device, **changes: Any
) -> tuple[list[torch.Tensor], Stream]:
    tree = photographs.read("made", folder).train
    arguments: dict[str, Any] = {"kind": "jitter", "workers": 0, "damaged": "stop", **changes}
    stream = Stream(
        tree, training_view("scale", SIZE), size=SIZE, mean=torch.zeros(3, device=device),
        scale=torch.ones((), device=device), batch=BATCH, wrap=True, seed=1, decoder=decoder,
        **arguments,
    )  # fmt: skip
    stream.load(0, 5)
    found = []
    for iteration in range(5):
        stream.fetch(stream.size(iteration))
        images, labels = stream.next(BATCH)
        found += [images.clone(), labels.clone()]
    return found, stream


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each call of the device's decoder has given."""
    found, original = [], nvjpeg.decode_jpeg

    def decode(files: list[torch.Tensor], **told: Any) -> list[torch.Tensor]:
        images = original(files, **told)
        found.append(len(images))
        return images

    monkeypatch.setattr(nvjpeg, "decode_jpeg", decode)
    return found


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_the_workers(workers: int, folder: Path, taken: list[int]) -> None:
    cpu = torch.device("cpu")
    expected = batches(folder, "cpu", cpu)[0]
    found = batches(folder, "nvjpeg", cpu, workers=workers)[0]
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one, other)
    # An epoch of twenty images, of which two are CMYK and two PNG.
    assert sum(taken) == 16


def test_only_whole_jpeg_files_in_grey_or_rgb_go_to_the_device(folder: Path) -> None:
    place = folder / "made/train/n0"
    content = {int(path.stem): path.read_bytes() for path in place.glob("*.JPEG")}
    assert [n for n in range(10) if not nvjpeg.is_usual(content[n])] == [5, 7]
    assert not nvjpeg.is_usual(content[0][:-30]) and not nvjpeg.is_usual(b"")
    start = content[0].index(b"\xff\xc0") + 5  # of height and width in the header: 65,000 each
    assert not nvjpeg.is_usual(content[0][:start] + b"\xfd\xe8" * 2 + content[0][start + 4 :])


@pytest.mark.parametrize("broken", [b"", b"no image", "half", "middle"])
def test_a_damaged_file_stops_training_or_is_left_out(
    broken: bytes | str, folder: Path, taken: list[int]
) -> None:
    path = folder / "made/train/n1/2.JPEG"
    content = path.read_bytes()
    if broken == "half":
        path.write_bytes(content[: len(content) // 2])
    elif broken == "middle":  # its end is there, yet no decoder takes it
        path.write_bytes(content[:20] + content[-2:])
    else:
        path.write_bytes(bytes(broken))
    cpu = torch.device("cpu")
    with pytest.raises(DataError, match=r"n1/2\.JPEG is damaged or no image"):
        batches(folder, "nvjpeg", cpu)
    taken.clear()
    expected, _ = batches(folder, "cpu", cpu, damaged="skip")
    found, stream = batches(folder, "nvjpeg", cpu, damaged="skip")
    assert len(stream.skipped) == 1 and sum(taken) == 15
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one, other)


def test_without_a_gpu_it_is_refused(settings_of: Callable[..., Settings]) -> None:
    settings = settings_of("experiment=he2015_residual/table2/resnet18", "decoder=nvjpeg")
    with pytest.raises(ConfigError, match="needs a CUDA GPU"):
        checked_decoder(settings, torch.device("cpu"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_a_gpu_decodes_what_a_cpu_decodes(folder: Path, taken: list[int]) -> None:
    cuda = torch.device("cuda")
    nvjpeg.check(cuda)
    expected = batches(folder, "cpu", cuda, kind="none")[0]
    found = batches(folder, "nvjpeg", cuda, kind="none")[0]
    assert sum(taken) == 16
    for images, other in zip(expected[::2], found[::2], strict=True):
        assert (images - other).abs().mean() < 3  # of 255
    for labels, other in zip(expected[1::2], found[1::2], strict=True):
        assert torch.equal(labels, other)
