"""Folder trees of photographs: what is read, what is refused, and views of any size and shape."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.order import DataError
from data.photographs import photographs
from data.photographs.photographs import training_view
from data.photographs.tree import fingerprint, read_tree

SHAPES = [(40, 60), (61, 37), (33, 33), (500, 20), (1, 1)]


def picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two classes in both splits, five images of odd sizes each."""
    for split in ("train", "val"):
        for label, name in enumerate(("n01", "n02")):
            folder = tmp_path / "made" / split / name
            folder.mkdir(parents=True)
            for number, size in enumerate(SHAPES):
                picture(size, 10 * label + number).save(folder / f"{number}.JPEG")
    return tmp_path


def test_a_tree_is_listed_in_order(tree: Path) -> None:
    found = photographs.read("made", tree)
    assert found.classes == ("n01", "n02") and len(found.train) == len(found.test) == 10
    assert list(found.train.paths)[:2] == ["n01/0.JPEG", "n01/1.JPEG"]
    assert found.train.labels.tolist() == [0] * 5 + [1] * 5


def test_the_fingerprint_is_of_names_and_sizes(tree: Path) -> None:
    before = photographs.read("made", tree).fingerprint
    assert photographs.read("made", tree).fingerprint == before
    splits = {"train": read_tree(tree / "made/train", 2), "val": read_tree(tree / "made/val", 2)}
    assert fingerprint(splits) == before
    with (tree / "made/val/n01/0.JPEG").open("ab") as file:
        file.write(b"x")
    assert photographs.read("made", tree).fingerprint != before


def empty_class(tree: Path) -> None:
    for path in (tree / "made/train/n02").iterdir():
        path.unlink()


def other_class(tree: Path) -> None:
    (tree / "made/val/n02").rename(tree / "made/val/n03")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (empty_class, r"train/n02 holds no image"),
        (other_class, r"class n02 is in only one of train and val"),
        (lambda tree: (tree / "made").rename(tree / "other"), r"made/train is missing"),
    ],
)
def test_what_is_wrong_with_a_tree_is_named(damage: Callable, message: str, tree: Path) -> None:
    damage(tree)
    with pytest.raises(DataError, match=message):
        photographs.read("made", tree)


def test_imagenet_has_a_thousand_classes(tree: Path) -> None:
    (tree / "made").rename(tree / "imagenet")
    with pytest.raises(DataError, match="has 2 class folders, expected 1000"):
        photographs.read("imagenet", tree)


def test_an_incomplete_imagenet_is_refused(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,281,167 and 50,000 images (Russakovsky et al. 2015, Table 2)."""
    (tree / "made").rename(tree / "imagenet")
    monkeypatch.setitem(photographs.CLASSES, "imagenet", 2)
    images = photographs.read("imagenet", tree)
    with pytest.raises(DataError, match=r"not 1,281,167 and 50,000\.\nComplete it") as refused:
        photographs.check_whole(images)
    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.parametrize("crop", ["scale", "aspect"])
@pytest.mark.parametrize("shape", SHAPES)
def test_views_of_any_shape_have_the_size_asked_for(crop: str, shape: tuple[int, int]) -> None:
    image = torch.randint(0, 256, (3, *shape), dtype=torch.uint8)
    for view in (training_view(crop, 32), photographs.test_view(32)):
        seen = view(image)
        assert seen.shape == (3, 32, 32) and seen.dtype == torch.uint8


def test_the_test_view_is_the_centre() -> None:
    """Short side 256, then the middle 224, as PIL resizes."""
    image = picture((300, 400))
    width = 400 * 256 // 300
    small = image.resize((width, 256), Image.Resampling.BILINEAR)
    left, top = (width - 224) // 2, (256 - 224) // 2
    expected = np.asarray(small.crop((left, top, left + 224, top + 224))).astype(int)
    whole = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
    found = photographs.test_view(224)(whole).permute(1, 2, 0).numpy().astype(int)
    assert abs(found - expected).max() <= 1


def test_scale_augmentation_covers_256_to_480(tmp_path: Path) -> None:
    """He et al. 2015, Section 3.4: the gradient along an edge tells by how much it was scaled."""
    ramp = torch.arange(256, dtype=torch.uint8).expand(3, 256, 256).contiguous()
    view, sides = training_view("scale", 224), []
    torch.manual_seed(0)
    for _ in range(300):
        seen = view(ramp).float()
        steps = (seen[0, 0, 1:] - seen[0, 0, :-1]).abs()
        sides.append(256 / float(steps.mean()))
    assert 250 < min(sides) < 275 and 460 < max(sides) < 490
    assert np.mean(sides) == pytest.approx(368, abs=12)


def test_every_short_side_is_drawn() -> None:
    """A crop of 14 pixels, by the same ramp: short sides of 16 to 30."""
    ramp = torch.arange(256, dtype=torch.uint8).expand(3, 256, 256).contiguous()
    view, sides = training_view("scale", 14), set[int]()
    torch.manual_seed(0)
    for _ in range(300):
        row = view(ramp)[0, 0].int()
        sides.add(round(256 * 11 / abs(int(row[12]) - int(row[1]))))
    assert sides == set(range(16, 31))
