"""Test protocols on photographs, against one image at a time written out plainly."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as V

from data.photographs.photographs import decode, read
from data.photographs.tree import Tree
from training.settings.network import build_model
from training.settings.settings import Settings
from training.settings.types import ConfigError
from training.weights.export import export
from training.weights.members import Member, load_networks
from training.weights.protocols import (
    AT_ONCE,
    BATCH,
    PROTOCOLS,
    ImageViews,
    Result,
    batches,
    evaluate_photographs,
    probabilities,
)

SIZE = 56  # a quarter of 224
MEAN, SCALE = torch.tensor([120.0, 110.0, 100.0]), torch.tensor([0.02, 0.02, 0.03])
SHAPES = [(64, 64), (70, 90), (91, 73), (64, 200), (40, 30), (300, 64), (65, 67), (64, 65)]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Sixteen images of odd shapes, in eight classes."""
    root = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for label, (height, width) in enumerate(SHAPES):
            folder = root / "imagenette" / split / f"n{label}"
            folder.mkdir(parents=True)
            for number in range(2):
                small = random.integers(0, 256, (8, 8, 3), np.uint8)
                image = Image.fromarray(small).resize((width, height))
                image.save(folder / f"{number}.png")
    return read("imagenette", root).test


class Network(nn.Module):
    """Something small that takes any size."""

    def __init__(self, seed: int):
        super().__init__()
        torch.manual_seed(seed)
        self.conv, self.linear = nn.Conv2d(3, 16, 5, 3), nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        return 5 * self.linear(F.relu(self.conv(x)).mean((2, 3)))


def score(model: nn.Module, view: Tensor) -> Tensor:
    """Softmax of one view, uint8 (3, H, W)."""
    x = (view.permute(1, 2, 0).float() - MEAN) * SCALE
    with torch.no_grad():
        return model(x.permute(2, 0, 1)[None]).softmax(1)[0]


def square(image: Tensor, size: int) -> Tensor:
    """The image, with zeros around it where it is smaller than a crop."""
    height, width = image.shape[1:]
    right, below = max(0, size - width), max(0, size - height)
    return F.pad(image, [right // 2, right - right // 2, below // 2, below - below // 2])


def of_szegedy(image: Tensor) -> list[Tensor]:
    """4 x 3 x 6 x 2 views, a quarter of Szegedy et al. 2015, Section 7: scales; left, centre and
    right (of portraits top, centre and bottom); corners, centre and the square; mirrored."""
    views = []
    for side in (64, 72, 80, 88):
        whole = V.resize(image, [side])
        longest = max(whole.shape[1:])
        for start in (0, (longest - side) // 2, longest - side):
            square = whole[:, start:, :] if whole.shape[1] == longest else whole[:, :, start:]
            square = square[:, :side, :side]
            far, middle = side - SIZE, round((side - SIZE) / 2)
            for y, x in ((0, 0), (0, far), (far, 0), (far, far), (middle, middle)):
                views.append(square[:, y : y + SIZE, x : x + SIZE])
            views.append(V.resize(square, [SIZE, SIZE]))
    assert len(views) == 72
    return [*views, *(view.flip(2) for view in views)]


def expected(model: nn.Module, image: Tensor, protocol: str) -> Tensor:
    if protocol == "multi_scale":
        sides = [56, 64, 96, 120, 160]  # 224, 256, 384, 480 and 640, a quarter
        return torch.stack([score(model, V.resize(image, [side])) for side in sides]).mean(0)
    if protocol == "dense":
        views = [V.resize(image, [side]) for side in (64, 96, 128)]  # 256, 384 and 512, a quarter
        return torch.stack([score(model, x) for v in views for x in (v, v.flip(2))]).mean(0)
    if protocol == "crops_144":
        return torch.stack([score(model, view) for view in of_szegedy(image)]).mean(0)
    image = square(V.resize(image, [64]), SIZE)
    height, width = image.shape[1:]
    top, left = round((height - SIZE) / 2), round((width - SIZE) / 2)
    if protocol == "single":
        return score(model, image[:, top : top + SIZE, left : left + SIZE])
    corners = [(0, 0), (0, width - SIZE), (height - SIZE, 0), (height - SIZE, width - SIZE)]
    scores = []
    for y, x in [*corners, (top, left)]:
        crop = image[:, y : y + SIZE, x : x + SIZE]
        scores += [score(model, crop), score(model, crop.flip(2))]
    return torch.stack(scores).mean(0)


def found(models: list[nn.Module], tree: Tree, protocol: str, workers: int = 0) -> Tensor:
    views = ImageViews(tree, protocol, SIZE, None)
    with torch.no_grad():
        pieces = [
            probabilities(models, groups, MEAN, SCALE)
            for groups, _ in batches(views, workers, AT_ONCE.get(protocol, BATCH))
        ]
    return torch.cat(pieces)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_protocol_is_its_definition(protocol: str, tree: Tree) -> None:
    model = Network(0)
    reference = torch.stack(
        [expected(model, decode(tree.folder / path), protocol) for path in tree.paths]
    )
    assert torch.allclose(found([model], tree, protocol), reference, rtol=0, atol=1e-5)
    assert torch.equal(found([model], tree, protocol, 2), found([model], tree, protocol))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_ensemble_is_the_mean_of_its_members(protocol: str, tree: Tree) -> None:
    models: list[nn.Module] = [Network(seed) for seed in range(3)]
    alone = torch.stack([found([model], tree, protocol) for model in models])
    assert torch.allclose(found(models, tree, protocol), alone.mean(0), atol=1e-6)


def test_errors_are_those_of_the_ranking(tree: Tree) -> None:
    model = Network(1)
    scores, labels = found([model], tree, "single"), torch.from_numpy(tree.labels)
    ranked = scores.argsort(1, descending=True)
    result = evaluate_photographs(
        [model], tree, "single", size=SIZE, short=None, mean=MEAN, scale=SCALE, workers=0
    )
    wrong = [int(label not in row[:5]) for row, label in zip(ranked, labels, strict=True)]
    loss = -scores[range(16), labels].log().mean()
    assert result == Result(
        100 * float((ranked[:, 0] != labels).float().mean()), 100 * sum(wrong) / 16,
        pytest.approx(float(loss), rel=1e-5), 16,
    )  # fmt: skip


@pytest.mark.parametrize("protocol", ["single", "ten_crop"])
def test_the_short_side_is_the_one_asked_for(protocol: str) -> None:
    """Crops of 56 of an image whose short side becomes 80 pixels, not 64."""
    image = torch.randint(0, 256, (3, 120, 160), dtype=torch.uint8)
    resized = V.resize(image, [80])
    corner = resized[:, :SIZE, :SIZE] if protocol == "ten_crop" else V.center_crop(resized, [SIZE])
    (views,) = PROTOCOLS[protocol](image, SIZE, 80)
    assert torch.equal(views[0].permute(2, 0, 1), corner)


class Certain(nn.Module):
    """Sees class 0 in every image, and leaves nothing for the others."""

    def __init__(self, classes: int):
        super().__init__()
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        return F.one_hot(torch.zeros(len(x), dtype=torch.int64), self.classes) * 1e4


@pytest.mark.parametrize("classes", [2, 8])
def test_a_network_that_is_certain_and_wrong_has_a_finite_loss(classes: int, tree: Tree) -> None:
    """And no top-5 error among fewer than six classes, in which it would be 0."""
    few = tree.labels < classes
    part = Tree(
        tree.folder, tree.classes[:classes], tree.paths[few], tree.labels[few], tree.sizes[few]
    )
    result = evaluate_photographs(
        [Certain(classes)], part, "single", size=SIZE, short=None, mean=MEAN, scale=SCALE, workers=0
    )
    assert result.top1 == 100 * (classes - 1) / classes
    assert math.isfinite(result.loss) and result.loss > 30
    assert (result.top5 is None) == (classes == 2)


TABLE6 = "he2015_residual/table6/resnet20"
ROW = "experiment=he2015_residual/table2/resnet18"
SMALL = ["preset=imagenette", "data.classes=8", "device=cpu", "workers=0"]


@pytest.fixture(scope="module")
def exported(
    settings_of: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder of weights of ResNet-18: 0, 1 and, of as many classes, `nine`."""
    folder = tmp_path_factory.mktemp("exported")
    for name, overrides in {"0": "seed=0", "1": "seed=1", "nine": "data.classes=9"}.items():
        model = build_model(settings_of(ROW, *SMALL, overrides))
        export(model.state_dict(), folder / f"{name}.safetensors")
    return folder


@pytest.fixture
def evaluated(tree: Tree, command: Callable, exported: Path, tmp_path: Path) -> Callable:
    """Run eval.py on the tree; the weights lie in `tmp_path`."""
    for path in exported.iterdir():
        (tmp_path / path.name).symlink_to(path)
    folder = {"DATA_DIR": str(tree.folder.parent.parent)}
    return lambda *overrides: command("eval.py", ROW, *SMALL, *overrides, **folder)


def test_the_command_evaluates_networks_and_ensembles(evaluated: Callable, tmp_path: Path) -> None:
    one = evaluated(f"weights={tmp_path}/0.safetensors", "protocol=ten_crop")
    assert one.code == 0 and "(16 test images, ten_crop)" in one.out, one.err
    two = evaluated(f"weights=[{tmp_path}/0.safetensors,{tmp_path}/1.safetensors]")
    assert two.code == 0 and "top-5 error" in two.out, two.err
    ended = evaluated(f"weights={tmp_path}/0.safetensors", "protocol=ten_crop", "json=true")
    result = Result(**json.loads(ended.out))
    assert result.images == 16 and str(result) in one.out


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("protocol", ["single", "ten_crop"])
def test_what_is_not_finite_is_no_result(
    value: float, protocol: str, evaluated: Callable, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pt"
    state = load_file(tmp_path / "0.safetensors")
    torch.save({name: torch.full_like(tensor, value) for name, tensor in state.items()}, path)
    ended = evaluated(f"weights={path}", f"protocol={protocol}")
    assert ended.code == 2 and "gives no finite loss" in ended.err, ended.err


@pytest.mark.parametrize("override", ["recipe.std=channel", "recipe.mean=none", "data.size=72"])
def test_an_ensemble_sees_its_images_alike(
    override: str, settings_of: Callable[..., Settings], tmp_path: Path
) -> None:
    """Not those of one network as another was trained to see them."""
    members = [Member(settings_of(ROW, *SMALL, *more), tmp_path) for more in ([], [override])]
    with pytest.raises(ConfigError, match="different size or normalisation"):
        load_networks(members)


@pytest.mark.parametrize(
    ("weights", "override", "message"),
    [
        ("0", "protocol=twelve_crop", "protocol=twelve_crop is unknown; choose one of single,"),
        (
            "0",
            "data.source=digits data.name=digits recipe.crop=pad protocol=ten_crop",
            "for photographs; leave them out",
        ),
        ("0", "crop=wide", "crop='wide' is impossible: should be a valid integer"),
        ("0", "short=0", "short=0 is impossible: should be greater than or equal to 1"),
        ("0", "data.classes=9", "size mismatch for classifier.weight: "),
        ("nine", "data.classes=9", "data.classes=9, but imagenette has 8"),
    ],
)
def test_what_cannot_be_evaluated_is_named(
    weights: str, override: str, message: str, evaluated: Callable, tmp_path: Path
) -> None:
    ended = evaluated(f"weights={tmp_path}/{weights}.safetensors", *override.split())
    assert ended.code in (2, 3) and message in ended.err, ended.err
    assert len(ended.err.splitlines()) <= 3
