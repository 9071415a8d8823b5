"""The shipped networks by name, and what a network sees in a picture."""

import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

import hubconf
from data.arrays.augment import normalise, statistics
from data.arrays.imageset import ImageSet
from records.files import ROOT
from tests.conftest import real

SHIPPED = sorted(ROOT.joinpath("results", "weights").rglob("*.safetensors"))
NAMES = [name for name, made in inspect.getmembers(hubconf, inspect.isfunction) if name[0] != "_"]


def test_every_shipped_network_has_a_name() -> None:
    rows = [path.parent.parent.name for path in SHIPPED]
    assert sorted(NAMES) == sorted(rows)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_loads_by_name(name: str) -> None:
    model = torch.hub.load(str(ROOT), name, source="local", trust_repo=True)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert model(images).shape == (2, len(model.classes)) and not model.training
    fresh = torch.hub.load(str(ROOT), name, source="local", trust_repo=True, pretrained=False)
    assert not torch.equal(
        fresh.network.classifier.weight.detach(), model.network.classifier.weight.detach()
    )


def test_the_shipped_mean_is_that_of_the_training_images(cifar10: ImageSet) -> None:
    images = cifar10
    mean, scale = statistics(images.train_images, "pixel", "none")
    shipped = hubconf.resnet20().mean
    assert torch.equal(shipped[0], mean.permute(2, 0, 1)) and scale == 1
    assert images.classes == hubconf.CLASSES


def test_a_named_network_errs_as_recorded_within_what_600_images_tell(cifar10: ImageSet) -> None:
    images = cifar10
    x = torch.from_numpy(images.test_images[:600])
    model = hubconf.resnet20()
    with torch.no_grad():
        found = model(x.permute(0, 3, 1, 2) / 255)
        mean, scale = statistics(images.train_images, "pixel", "none")
        expected = model.network(normalise(x, mean=mean, scale=scale))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    error = float((found.argmax(1).numpy() != images.test_labels[:600]).mean())
    folder = ROOT / "results/runs/he2015_residual/table6/resnet20/cifar10_aug/seed0"
    recorded = json.loads((folder / "summary.json").read_text())["test_error"]["exported"] / 100
    assert error == pytest.approx(recorded, abs=4 * (recorded * (1 - recorded) / 600) ** 0.5)


class TestPictures:
    NETWORK = (
        "experiment=he2015_residual/table6/resnet20",
        f"weights={ROOT}/results/weights/he2015_residual/table6/resnet20/cifar10_aug/seed0.safetensors",
    )

    def test_a_picture_is_seen(self, command: Callable, cifar10: ImageSet, tmp_path: Path) -> None:
        folder, images = real("cifar10"), cifar10
        model, files, expected = hubconf.resnet20(), [], []
        for k, size in enumerate([(32, 32), (32, 32), (64, 64)]):
            path = tmp_path / f"a={k}, {size[0]}.png"
            Image.fromarray(images.test_images[k]).resize(size, Image.Resampling.NEAREST).save(path)
            files.append(path)
            with torch.no_grad():
                x = torch.from_numpy(images.test_images[k]).permute(2, 0, 1)[None] / 255
                expected.append(model(x).softmax(1)[0])
        listed = ",".join(f'"{path}"' for path in files)
        ended = command("eval.py", *self.NETWORK, f"image=[{listed}]", f"data.folder={folder}")
        assert ended.code == 0, ended.err
        # What was enlarged by whole factors is the same again but for the resampling.
        for line, path, seen in zip(ended.out.splitlines(), files, expected, strict=True):
            best = images.classes[int(seen.argmax())]
            assert line.startswith(f"{path}: {best} ")
            stated = float(line.split(" %")[0].rpartition(" ")[2])
            assert stated == pytest.approx(
                100 * float(seen.max()), abs=0.1 if "32" in path.name else 20
            )


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_images_in_bytes_are_refused(dtype: torch.dtype) -> None:
    """As numbers from 0 to 1 they would be seen as noise."""
    with pytest.raises(TypeError, match="divide by 255"):
        hubconf.resnet20(pretrained=False)(torch.ones(1, 3, 32, 32, dtype=dtype))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(1, 3, 32, 32) * 255, "from 0 to 1"),
        (torch.rand(1, 3, 32, 32) * 2 - 1, "from 0 to 1"),
        (torch.full((1, 3, 32, 32), torch.nan), "from 0 to 1"),
        (torch.rand(1, 1, 32, 32), r"not \(1, 1, 32, 32\)"),
        (torch.rand(3, 32, 32), r"not \(3, 32, 32\)"),
        (torch.rand(1, 3, 33, 33), r"not \(1, 3, 33, 33\)"),
    ],
)
def test_images_of_another_scale_or_shape_are_refused(images: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hubconf.resnet20(pretrained=False)(images)


@pytest.mark.slow
def test_a_network_can_be_exported() -> None:
    """Its check of the images' range must not stand in the way."""
    network, images = hubconf.resnet20(), torch.rand(4, 3, 32, 32)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(network, (images,), dynamic_shapes=({0: batch},)).module()
    for count in (4, 1, 7):
        images = torch.rand(count, 3, 32, 32)
        torch.testing.assert_close(program(images), network(images))


def test_a_network_is_saved_whole(tmp_path: Path) -> None:
    """As torch.hub leaves `hubconf` out of the known modules, nothing may be defined in it."""
    model = torch.hub.load(str(ROOT), "resnet20", source="local", trust_repo=True)
    torch.save(model, tmp_path / "model.pt")
    again, images = torch.load(tmp_path / "model.pt", weights_only=False), torch.rand(2, 3, 32, 32)
    assert torch.equal(again(images), model(images)) and again.classes == model.classes


@pytest.mark.parametrize("damage", ["missing", "cut off", "changed"])
def test_damaged_weights_are_named(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = "he2015_residual/table6/resnet20/cifar10_aug/seed0"
    for part in (f"weights/{run}.safetensors", f"runs/{run}/summary.json"):
        (tmp_path / part).parent.mkdir(parents=True)
        shutil.copy(ROOT / "results" / part, tmp_path / part)
    monkeypatch.setattr(hubconf, "RESULTS", tmp_path)
    assert hubconf.resnet20() is not None
    path = tmp_path / f"weights/{run}.safetensors"
    content = bytearray(path.read_bytes())
    content[-3001] ^= 0x40
    path.unlink()
    if damage != "missing":
        path.write_bytes(content if damage == "changed" else content[:-9])
    with pytest.raises(RuntimeError, match=f"{path} is missing or damaged; `git checkout"):
        hubconf.resnet20()
