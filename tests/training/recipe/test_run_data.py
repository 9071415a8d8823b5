"""What a run is given of a set, and configurations that do not fit it."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from data.arrays.imageset import ImageSet, write
from data.arrays.prepared import prepared
from data.photographs.photographs import Photographs
from data.photographs.tree import Tree
from training.process.replicas import Replicas
from training.recipe import run_data
from training.recipe.run_data import load_run_data
from training.settings.settings import Settings
from training.settings.types import ConfigError

CPU = torch.device("cpu")


def test_what_is_held_out_is_evaluated_and_counts_for_nothing_else(
    tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    settings = tiny("recipe.holdout=100", "recipe.mean=pixel", "recipe.wrap=false")
    found = load_run_data(settings, digits, CPU)
    assert found.epoch_size == 1400 and {k: len(x) for k, (x, _) in found.splits.items()} == {
        "test": 297, "val": 100,
    }  # fmt: skip
    np.testing.assert_array_equal(found.splits["val"][0], digits.train_images[1400:])
    np.testing.assert_array_equal(found.splits["val"][1], digits.train_labels[1400:])
    np.testing.assert_allclose(found.mean, digits.train_images[:1400].mean(0), rtol=1e-5)
    found.batches.begin(0, 22)  # an epoch
    labels = torch.cat([found.batches.next(found.batches.size(k))[1] for k in range(22)])
    assert sorted(labels.tolist()) == sorted(digits.train_labels[:1400].tolist())


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("recipe", {"holdout": 1490}, "recipe.holdout=1490 leaves 10 of 1500 training images"),
        ("recipe", {"crop": "scale"}, "recipe.crop=scale is not for digits, which needs pad"),
        (
            "recipe",
            {"border": "reflect", "translate": 16},
            "recipe.border=reflect moves .* not by 16",
        ),
        ("data", {"classes": 11}, "data.classes=11, but digits has 10"),
        ("data", {"size": 32}, "data.size=32, but digits has 16"),
    ],
)
def test_a_configuration_that_does_not_fit_the_set_is_refused(
    part: str,
    changes: dict[str, Any],
    message: str,
    tiny: Callable[..., Settings],
    digits: ImageSet,
) -> None:
    settings = tiny("data.pad=1")
    changed = replace(settings, **{part: replace(getattr(settings, part), **changes)})
    with pytest.raises(ConfigError, match=message):
        load_run_data(changed, digits, CPU)


@pytest.mark.parametrize(("pad", "translate", "moved"), [(0, 5, 0), (4, 0, 4), (4, 5, 5)])
def test_a_recipe_has_its_own_translations_where_the_data_move(
    pad: int, translate: int, moved: int, tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    settings = tiny(f"data.pad={pad}", f"recipe.translate={translate}")
    batches = load_run_data(settings, digits, CPU).batches
    batches.begin(0, 20)
    found = batches.plan[: 20 * batches.batch, 1:3]  # type: ignore[attr-defined]
    assert set(found.flatten().tolist()) == set(range(2 * moved + 1))


@pytest.mark.parametrize(("border", "mode"), [("zero", "constant"), ("reflect", "reflect")])
def test_moved_images_have_the_border_of_the_recipe(
    border: str, mode: Any, tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    settings = tiny("data.pad=1", "recipe.mean=none", "recipe.std=none")
    settings = replace(settings, recipe=replace(settings.recipe, border=border))
    image = np.random.default_rng(0).integers(1, 256, (16, 16, 3), dtype=np.uint8)
    alike = replace(digits, train_images=np.broadcast_to(image, digits.train_images.shape).copy())
    batches = load_run_data(settings, alike, CPU).batches
    batches.begin(0, 1)
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode=mode)
    windows = [padded[i : i + 16, j : j + 16] for i in range(3) for j in range(3)]
    for x in batches.next(64)[0].permute(0, 2, 3, 1).numpy():
        assert any(np.array_equal(x, window) for window in windows)


def test_contrast_is_the_recipes(tiny: Callable[..., Settings], digits: ImageSet) -> None:
    settings = tiny()
    changes = {"prepare": "gcn", "contrast": 1.5, "mean": "none", "std": "none"}
    settings = replace(settings, recipe=replace(settings.recipe, **changes))
    images, _ = load_run_data(settings, digits, CPU).splits["test"]
    norms = np.linalg.norm(images.flatten(1).numpy(), axis=1)
    np.testing.assert_allclose(norms, 1.5, rtol=1e-5)


def test_prepared_images_are_trained_and_tested_on(
    tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    settings = tiny("recipe.prepare=zca", "recipe.mean=none", "recipe.std=none")
    found = load_run_data(settings, digits, CPU)
    expected = prepared(digits, "zca", 55.0, Path("nowhere"))
    np.testing.assert_array_equal(found.splits["test"][0], expected.test_images)
    found.batches.begin(0, 1)
    batch, labels = found.batches.next(64)
    x = torch.from_numpy(expected.train_images).permute(0, 3, 1, 2)
    for image, label in zip(batch, labels, strict=True):
        same = (x == image).flatten(1).all(1)
        assert same.any() and label in digits.train_labels[same.numpy()]


def test_a_whitened_run_holds_its_images_once(
    tiny: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one float32 copy of the set, where it is whitened, and where it is read."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (60_000, 8, 8, 3), dtype=np.uint8)
    y = np.arange(60_000) % 10
    images = ImageSet("noise", x[10_000:], y[10_000:], x[:10_000], y[:10_000], tuple("0123456789"))
    numpy_writes = 2**24  # bytes at a time
    write(images, tmp_path / "noise.npz")
    monkeypatch.setattr("data.arrays.prepared.CHUNK", 500)
    settings = tiny("recipe.prepare=zca", "recipe.mean=none", "recipe.std=none")
    data = replace(settings.data, name="noise", source="noise", size=8, folder=str(tmp_path))
    settings, copy = replace(settings, data=data), 4 * x.nbytes
    for kept in (False, True):
        assert (tmp_path / "noise_zca55.npz").exists() == kept
        tracemalloc.start()
        try:
            loaded = load_run_data(settings, images, CPU)
            held, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert loaded.splits["test"][0].dtype == torch.float32
        assert copy < held < 1.05 * copy and most < 1.3 * copy + numpy_writes


# fb.resnet.torch's statistics, times 255.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


# Mean and divisor; crop, size, longest of the short sides, and colour.
@pytest.mark.parametrize(("row", "divided", "view"), [
    ("he2015_residual/table3/resnet50", (MEAN, 1), ("scale", 224, 480, "pca")),
    ("huang2017_dense/fig3/resnet50", (MEAN, STD), ("aspect", 224, 480, "jitter")),
    ("simonyan2015_vgg/table4/vgg16", (MEAN, STD), ("scale", 224, 512, "pca")),
    ("szegedy2015_googlenet/table3/googlenet", (MEAN, 1), ("aspect", 224, 480, "none")),
    ("szegedy2016_inception/table3/inception_v3", (127.5, 127.5), ("aspect", 299, 480, "jitter")),
])  # fmt: skip
def test_photographs_are_seen_and_normalised_as_their_recipe_says(
    row: str, divided: tuple[Any, Any], view: tuple[Any, ...],
    settings_of: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    nothing = np.zeros(1_600, np.int64)
    tree = Tree(Path("nowhere"), tuple(map(str, range(1_000))), *[nothing] * 3)
    monkeypatch.setattr("training.recipe.run_data.check_sizes", lambda *_: None)
    monkeypatch.setattr("training.recipe.run_data.check_whole", lambda *_: None)
    monkeypatch.setattr("training.recipe.run_data.training_view", lambda *given: given)
    monkeypatch.setattr("training.recipe.run_data.Stream", lambda *given, **named: (*given, named))
    images, second = Photographs("imagenet", tree, tree), Replicas(1, 2, 1)
    found: Any = load_run_data(settings_of(f"experiment={row}"), images, CPU, second)
    read, seen, named = found.batches
    assert read is tree and (*seen, named["kind"]) == view and named["size"] == view[1]
    for given in (found.mean, named["mean"]):
        np.testing.assert_allclose(given, np.broadcast_to(divided[0], 3), rtol=1e-6)
    for given in (found.scale, named["scale"]):
        np.testing.assert_allclose(given, 1 / np.broadcast_to(divided[1], 3), rtol=1e-6)


def test_photographs_are_not_prepared(settings_of: Callable[..., Settings]) -> None:
    row = "experiment=he2015_residual/table3/resnet50"
    settings = settings_of(row, "recipe.prepare=zca", "recipe.mean=none", "recipe.std=none")
    tree: Any = SimpleNamespace(classes=tuple(map(str, range(1000))))
    images = Photographs("imagenet", tree, tree)
    with pytest.raises(ConfigError, match=r"recipe.prepare=zca is for .* not for imagenet"):
        load_run_data(settings, images, CPU)


@pytest.mark.parametrize(
    ("asked", "device", "processes", "beside", "expected"),
    [
        (None, "cuda", 1, 1, 32), (None, "cuda", 8, 1, 4), (None, "cuda", 1, 4, 8),
        (None, "cuda", 8, 8, 1), (None, "cpu", 1, 1, 1), (3, "cuda", 8, 1, 3), (0, "cpu", 1, 1, 0),
    ],
)  # fmt: skip
def test_processes_that_decode_share_the_cores(
    asked: int | None, device: str, processes: int, beside: int, expected: int,
    tiny: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Of 32 cores: with the processes of this run, and with runs on the same GPU."""
    monkeypatch.setattr(run_data, "cores", lambda: 32)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    settings = replace(tiny(), workers=asked, runs_at_once=beside)
    assert run_data.workers(settings, torch.device(device)) == expected
