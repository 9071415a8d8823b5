"""Trees as they come from the world: broken links, pipes, files that change after they are listed.

Whatever is there, it is read as it is or named; the fingerprint is of what was read.
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from data.order import DataError
from data.photographs.photographs import Photographs, training_view
from data.photographs.stream import Stream, decode_all
from data.photographs.tree import check_sizes
from data.sets import load

FILE = "n0/1.png"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A split of a tree: three images in each of two classes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for split in ("train", "val"):
        for label in range(2):
            (tmp_path / "made" / split / f"n{label}").mkdir(parents=True)
            for number in range(3):
                image = Image.new("RGB", (20, 20), (80 * number, 100 * label, 7))
                image.save(tmp_path / "made" / split / f"n{label}" / f"{number}.png")
    return tmp_path / "made" / "train"


def read(folder: Path) -> Photographs:
    images = load("made", folder.parent.parent)
    assert isinstance(images, Photographs)
    return images


def epoch(images: Photographs, damaged: str) -> Stream:
    """Read every training image once."""
    if damaged == "stop":
        check_sizes(images.train)
    stream = Stream(
        images.train, training_view("scale", 8), size=8, kind="none", mean=torch.zeros(3),
        scale=torch.ones(()), batch=2, wrap=True, seed=0, workers=0, damaged=damaged,
    )  # fmt: skip
    stream.begin(0, 3)
    for _ in range(3):
        stream.fetch(2)
    return stream


def refusal(read: Callable[[], object]) -> str:
    """What is said where something is refused; workers end at once, which a kept error hinders."""
    try:
        read()
    except DataError as error:
        assert str(error).count("\n") < 3
        return str(error)
    return "nothing"


def replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / FILE).unlink()
        make(folder / FILE)

    return damage


BEFORE = {
    "a broken link": replaced(lambda path: path.symlink_to("nowhere.png")),
    "a link to itself": replaced(lambda path: path.symlink_to(path.name)),
    "a folder": replaced(lambda path: path.mkdir()),
    "a pipe": replaced(os.mkfifo),
    "an empty file": replaced(lambda path: path.touch()),
    "a link to a folder": replaced(lambda path: path.symlink_to("..")),
    "a link into a lost disk": replaced(lambda path: path.symlink_to("/lost/disk/1.png")),
}
AFTER = {
    "cut off": lambda path: os.truncate(path, 50),
    "emptied": lambda path: os.truncate(path, 0),
    "grown": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "deleted": lambda path: path.unlink(),
    "exchanged for a folder": lambda path: (path.unlink(), path.mkdir()),
    "exchanged for a broken link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
    "exchanged for another image": lambda path: Image.new("L", (90, 90)).save(path),
}


@pytest.mark.parametrize("name", BEFORE)
def test_what_is_no_file_is_named_or_skipped(name: str, folder: Path) -> None:
    BEFORE[name](folder)
    images = read(folder)
    assert re.search(
        r"n0/1\.png is (empty|not a readable file)", refusal(lambda: epoch(images, "stop"))
    )
    assert epoch(images, "skip").facts() == {"damaged": 1}


@pytest.mark.parametrize("name", BEFORE)
def test_among_test_images_it_is_named(name: str, folder: Path) -> None:
    BEFORE[name](folder.parent / "val")
    text = refusal(lambda: read(folder))
    assert re.search(r"val/n0/1\.png is (empty|not a readable file)", text) and "skip" not in text


@pytest.mark.parametrize("name", AFTER)
def test_what_changed_after_it_was_listed_is_named(name: str, folder: Path) -> None:
    images = read(folder)
    AFTER[name](folder / FILE)
    for look in (
        lambda: decode_all(images.train, 8, 0),
        lambda: decode_all(images.train, 8, 1),
        lambda: epoch(images, "stop"),
    ):
        text = refusal(look)
        assert re.search(r"n0/1\.png (has|cannot)", text), text
    assert epoch(images, "skip").facts() == {"damaged": 1}
    if " has " in text:  # following the advice gives another fingerprint
        assert read(folder).fingerprint != images.fingerprint


def test_links_that_lead_somewhere_are_followed(folder: Path) -> None:
    (folder / "n1").rename(folder.parent / "elsewhere")
    (folder / "n1").symlink_to("../elsewhere")
    replaced(lambda path: path.symlink_to("0.png"))(folder)
    images = read(folder)
    assert len(images.train) == 6
    epoch(images, "stop")


def test_a_class_that_is_a_broken_link_is_missing(folder: Path) -> None:
    shutil.rmtree(folder / "n1")
    (folder / "n1").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"val has 2 class folders, expected 1|class n1"):
        read(folder)


def test_a_folder_that_cannot_be_read_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = os.scandir

    def scan(path: str | Path) -> object:
        if Path(path).name == "n1":
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(DataError, match=r"n1: Permission denied"):
        read(folder)


def test_files_that_are_not_read_are_counted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read(folder)
    assert not capsys.readouterr().err
    (folder / "n0" / "2.gif").touch()
    (folder / "n0" / ".DS_Store").touch()
    (folder / "n1" / "more").mkdir()
    read(folder)
    assert re.search(r"train: 2 files are not read, such as .*n0/2\.gif", capsys.readouterr().err)


@pytest.mark.parametrize("kind", ["file", "class"])
def test_a_name_that_is_no_text_is_named(kind: str, folder: Path) -> None:
    """As torchvision opens no such file."""
    odd = os.fsdecode(b"caf\xe9")
    if kind == "class":
        shutil.copytree(folder / "n0", folder / odd)
    else:
        (folder / "n0" / f"{odd}.JPEG").touch()
    with pytest.raises(DataError, match=r"a name that is not UTF-8: 'caf.*; rename it"):
        read(folder)
