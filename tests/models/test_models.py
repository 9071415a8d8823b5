"""The networks against published counts and a forward pass written out in plain functions."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.resnet import ResNet
from training.settings.network import outline, trace

BOTTLENECK = {"unit": "bottleneck", "match": "project"}
PREACT = {"order": "full_preact", "projection_norm": False}
WIDE = PREACT | {"match": "project", "norm_init": "uniform"}
IMAGENET = {"images": "imagenet", "classes": 1000}
# Exact counts of architectures that no row has with ten classes, or on ImageNet; those of the rows
# are in tests/training/settings/test_configs.py.
RESNETS = [
    (20, {"match": "project"}, 272_474),
    (110, {"classes": 100}, 1_733_812),
    (110, {"match": "project_all", "projection_norm": False}, 1_822_170),
    (164, BOTTLENECK | {"classes": 100}, 1_727_284),
    (164, BOTTLENECK | PREACT | {"classes": 100}, 1_726_388),
    pytest.param(1001, BOTTLENECK | {"classes": 100}, 10_351_732, marks=pytest.mark.slow),
    pytest.param(1001, BOTTLENECK | PREACT | {"classes": 100}, 10_350_836, marks=pytest.mark.slow),
    # The code of Huang et al. 2016.
    (110, {"bias": True, "classes": 100}, 1_737_860),
    # Zagoruyko and Komodakis 2016, the last one printed as 8.9M.
    (16, WIDE | {"widen": 8, "classes": 100}, 11_007_540),
    (28, WIDE | {"widen": 10, "classes": 100}, 36_536_884),
    (40, WIDE | {"widen": 4}, 8_949_210),
]  # fmt: skip


@pytest.mark.parametrize(("depth", "arguments", "count"), RESNETS)
def test_residual_networks_have_the_papers_size(depth: int, arguments: dict, count: int) -> None:
    model = outline({"_target_": "models.resnet.ResNet", "depth": depth, **arguments})
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize(
    ("depth", "arguments", "giga"),
    [
        (18, {}, 1.79), (34, {}, 3.64), (34, {"match": "project"}, 3.66),
        (34, {"match": "project_all"}, 3.83), (50, BOTTLENECK, 3.86),
        (50, BOTTLENECK | {"stride_on": "3x3"}, 4.09),
        pytest.param(101, BOTTLENECK, 7.57, marks=pytest.mark.slow),
        pytest.param(152, BOTTLENECK, 11.28, marks=pytest.mark.slow),
        pytest.param(152, BOTTLENECK | {"stride_on": "3x3"}, 11.51, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_multiply_adds_are_those_of_table_1(depth: int, arguments: dict, giga: float) -> None:
    model = outline({"_target_": "models.resnet.ResNet", "depth": depth, **IMAGENET, **arguments})
    assert trace(model, 224)[0][""] / 1e9 == pytest.approx(giga, abs=0.005)


@pytest.mark.parametrize("depth", [20, 56, 110])
def test_depth_counts_the_weighted_layers(depth: int) -> None:
    with torch.device("meta"):
        model = ResNet(depth)
    weighted = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(weighted) == depth


def batch_norm(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    mean = x.mean((0, 2, 3), keepdim=True)
    variance = x.var((0, 2, 3), keepdim=True, unbiased=False)
    scale, shift = (weights[f"{name}.{key}"].view(1, -1, 1, 1) for key in ("weight", "bias"))
    return (x - mean) / (variance + 1e-5).sqrt() * scale + shift


def reference(x: Tensor, weights: dict[str, Tensor], depth: int, residual: bool) -> Tensor:
    """He et al. 2015, Section 4.2, written out: training mode, float64."""
    x = F.conv2d(x, weights["stem.conv1.weight"], padding=1)
    x = batch_norm(x, weights, "stem.norm1").clamp(min=0)
    for stage in range(3):
        for unit in range((depth - 2) // 6):
            name = f"stages.{stage}.{unit}.branch"
            stride = 2 if stage and not unit else 1
            y = F.conv2d(x, weights[f"{name}.conv1.weight"], stride=stride, padding=1)
            y = batch_norm(y, weights, f"{name}.norm1").clamp(min=0)
            y = F.conv2d(y, weights[f"{name}.conv2.weight"], padding=1)
            y = batch_norm(y, weights, f"{name}.norm2")
            if residual:
                skip = x[:, :, ::stride, ::stride]
                zeros = skip.new_zeros(len(x), y.shape[1] - x.shape[1], *y.shape[2:])
                y = y + torch.cat([skip, zeros], 1)
            x = y.clamp(min=0)
    return x.mean((2, 3)) @ weights["classifier.weight"].T + weights["classifier.bias"]


@pytest.mark.parametrize("shortcut", ["identity", "none"])
def test_forward_and_gradients_equal_the_written_out_network(shortcut: str) -> None:
    torch.manual_seed(0)
    model = ResNet(14, shortcut=shortcut).double()
    weights = {k: v.clone().requires_grad_(v.is_floating_point()) for k, v in
               model.state_dict().items()}  # fmt: skip
    x = torch.randn(4, 3, 18, 18, dtype=torch.float64)  # 18 is odd after one halving
    labels = torch.tensor([0, 3, 5, 9])
    expected = reference(x, weights, 14, shortcut == "identity")
    logits = model(x)
    torch.testing.assert_close(logits, expected)
    F.cross_entropy(expected, labels).backward()
    F.cross_entropy(logits, labels).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, weights[name].grad)


def wide_reference(x: Tensor, weights: dict[str, Tensor], depth: int) -> Tensor:
    """Zagoruyko and Komodakis 2016, Table 1, and their code, written out: training mode."""

    def activated(x: Tensor, name: str) -> Tensor:
        return batch_norm(x, weights, name).clamp(min=0)

    x = activated(F.conv2d(x, weights["stem.conv1.weight"], padding=1), "stem.norm1")
    for stage in range(3):
        for unit in range((depth - 4) // 6):
            name, stride = f"stages.{stage}.{unit}", 2 if stage and not unit else 1
            if unit:
                y = activated(x, f"{name}.branch.norm1")
            else:  # branch and shortcut see it activated; in the first stage the stem has done so
                y = x = activated(x, f"{name}.shared.norm1") if stage else x
                x = F.conv2d(x, weights[f"{name}.shortcut.match.weight"], stride=stride)
            second = "norm2" if unit else "norm1"
            y = F.conv2d(y, weights[f"{name}.branch.conv1.weight"], stride=stride, padding=1)
            y = activated(y, f"{name}.branch.{second}")
            x = x + F.conv2d(y, weights[f"{name}.branch.conv2.weight"], padding=1)
    x = activated(x, "activation.norm1")
    return x.mean((2, 3)) @ weights["classifier.weight"].T + weights["classifier.bias"]


def test_a_wide_network_equals_the_written_out_one() -> None:
    torch.manual_seed(0)
    model = ResNet(16, widen=2, **WIDE).double()
    weights = {k: v.clone().requires_grad_(v.is_floating_point()) for k, v in
               model.state_dict().items()}  # fmt: skip
    x, labels = torch.randn(4, 3, 18, 18, dtype=torch.float64), torch.tensor([0, 3, 5, 9])
    expected, logits = wide_reference(x, weights, 16), model(x)
    torch.testing.assert_close(logits, expected)
    F.cross_entropy(expected, labels).backward()
    F.cross_entropy(logits, labels).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, weights[name].grad)


def test_dropout_stands_between_the_convolutions_of_a_unit() -> None:
    model = ResNet(10, widen=2, dropout=0.3, **WIDE)
    for stage in model.stages:
        for unit in stage:
            names = [name for name, _ in unit.branch.named_children()]
            assert names[-4:] == ["norm1", "act1", "drop1", "conv2"]
            assert unit.branch.drop1.p == 0.3


@pytest.mark.parametrize(("init", "fan"), [("fan_in", 16 * 9), ("fan_out", 32 * 9)])
def test_convolutions_start_with_the_variance_of_he_et_al(init: str, fan: int) -> None:
    torch.manual_seed(0)
    weight = ResNet(8, init=init).stages[1][0].branch.conv1.weight
    assert weight.shape == (32, 16, 3, 3)
    assert weight.var().item() == pytest.approx(2 / fan, rel=0.08)
    assert abs(weight.mean().item()) < 0.01


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"depth": 21}, "depth=21"),
        ({"depth": 2}, "depth=2"),
        ({"depth": 20, "classes": 1}, "classes=1"),
        ({"depth": 20, "shortcut": "gated"}, "shortcut='gated'"),
        ({"depth": 20, "match": "D"}, "match='D'"),
        ({"depth": 20, "order": "preact"}, "order='preact'"),
        ({"depth": 20, "init": "xavier"}, "init='xavier'"),
        ({"depth": 20, "norm_init": "two"}, "norm_init='two'"),
        ({"depth": 20, "unit": "triple"}, "unit='triple' is unknown; choose one of single, basic"),
        ({"depth": 21, "unit": "bottleneck"}, "depth=21 is not 9n [+] 2; the nearest .* 20"),
        ({"depth": 21, "unit": "single"}, "depth=21 is not 3n [+] 2; the nearest .* 20"),
        ({"depth": 20, "images": "mnist"}, "images='mnist'"),
        ({"depth": 50, "images": "imagenet"}, "depth=50 with unit=basic is not one of 18"),
        ({"depth": 20, "stride_on": "5x5"}, "stride_on='5x5'"),
        ({"depth": 20, "share_preact": "all"}, "share_preact='all'"),
        ({"depth": 20, "shortcut_dropout": 1.0}, "shortcut_dropout=1.0 is not in"),
        ({"depth": 20, "survival": 0.0}, r"survival=0.0 is not in \(0, 1\]"),
        ({"depth": 20, "survival": 1.5}, r"survival=1.5 is not in \(0, 1\]"),
        ({"depth": 20, "survival": 0.5, "survival_rule": "square"}, "survival_rule='square'"),
        ({"depth": 20, "survival": 0.5, "shortcut": "none"}, "survival=.* needs a shortcut"),
        ({"depth": 20, "widen": 0}, "widen=0 is below 1"),
        ({"depth": 20, "widen": 2}, "depth=20 is not 6n [+] 4; the nearest .* 22"),
        ({"depth": 50, "images": "imagenet", "widen": 2}, "widen=2 is for images=cifar"),
        ({"depth": 20, "dropout": 1.0}, "dropout=1.0 is not in"),
    ],
)
def test_impossible_arguments_are_named(arguments: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ResNet(**arguments)
