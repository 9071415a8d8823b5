"""Which weights belong to a record, and by which images a network's are normalised."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from data.arrays.imageset import ImageSet, write
from models.resnet import ResNet
from records.exits import BAD_CONFIG
from records.files import ROOT
from tests.data.arrays.test_sets import random_set
from training.settings.settings import Settings
from training.weights.description import describe
from training.weights.export import export
from training.weights.recorded import record_weights

ROW = "experiment=he2015_residual/table6/resnet20"
SHIPPED = "he2015_residual/table6/resnet20/cifar10_aug/seed0"


def own(name: str) -> list[str]:
    return [ROW, "model.depth=8", "data=own", f"data.name={name}", "data.classes=10", "device=cpu"]


@pytest.fixture
def bright_and_dark(tmp_path: Path) -> dict[str, ImageSet]:
    bright = replace(random_set(train=300, test=200), name="bright")
    dark = replace(
        bright, name="dark", train_images=bright.train_images // 4,
        test_images=bright.test_images // 4,
    )  # fmt: skip
    for images in (bright, dark):
        write(images, tmp_path / "sets" / f"{images.name}.npz")
    return {"bright": bright, "dark": dark}


@pytest.mark.parametrize("kind", ["described", "not described"])
def test_other_images_are_normalised_as_those_of_the_training(
    kind: str, bright_and_dark: dict[str, ImageSet], command: Callable,
    settings_of: Callable[..., Settings], tmp_path: Path,
) -> None:  # fmt: skip
    """Each image less the mean training image, as in the paper: of the set the weights name."""
    network = ResNet(8).eval()
    about = describe(settings_of(*own("bright")), "a row") if kind == "described" else None
    export(network.state_dict(), tmp_path / "w.safetensors", about)
    arguments = [*own("dark"), f"data.folder={tmp_path / 'sets'}", "json=true",
                 f"weights={tmp_path / 'w.safetensors'}"]  # fmt: skip
    if about:
        refused = command("eval.py", *arguments)
        assert refused.code == BAD_CONFIG and "a row on bright" in refused.err
    ended = command("eval.py", *arguments, "force=true")
    assert ended.code == 0, ended.err
    named = "bright" if about else "dark"
    assert ("normalised as those of bright" in ended.err) == bool(about)
    assert ("does not say what it is of" in ended.err) == (about is None)
    mean = torch.from_numpy(bright_and_dark[named].train_images).double().mean(0)
    images = torch.from_numpy(bright_and_dark["dark"].test_images) - mean
    network.half().float()
    with torch.no_grad():
        logits = network(images.permute(0, 3, 1, 2).float())
    loss = F.cross_entropy(logits, torch.from_numpy(bright_and_dark["dark"].test_labels))
    assert json.loads(ended.out.splitlines()[-1])["loss"] == pytest.approx(float(loss), rel=1e-3)


def test_the_weights_of_a_record_lie_beside_its_results_folder(tmp_path: Path) -> None:
    """Wherever this user's own results and outputs go."""
    found = record_weights(ROOT / "results" / "runs" / SHIPPED, tmp_path, tmp_path)
    assert found == ROOT / "results" / "weights" / f"{SHIPPED}.safetensors"


def test_weights_that_do_not_describe_themselves_are_known_by_their_record(
    command: Callable,
) -> None:
    plain = ROOT / "results" / "runs" / "he2015_residual/fig6/plain20/cifar10_aug/seed0"
    weights = ROOT / "results" / "weights" / f"{SHIPPED}.safetensors"
    ended = command("eval.py", f"run={plain}", f"weights={weights}")
    assert ended.code == BAD_CONFIG
    assert "holds weights of he2015_residual/table6/resnet20" in ended.err
