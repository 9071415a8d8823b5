"""The networks against published counts and a forward pass written out in plain functions."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.resnet import CifarResNet

# Exact counts of the architecture of He et al. 2015, Section 4.2, with option A; the table prints
# them as 0.27M, 0.46M, 0.66M, 0.85M, 1.7M and 19.4M.
COUNTS = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962, 1202: 19_421_274}


@pytest.mark.parametrize("shortcut", ["identity", "none"])
@pytest.mark.parametrize("depth", COUNTS)
def test_option_a_and_plain_networks_have_the_published_size(depth: int, shortcut: str) -> None:
    with torch.device("meta"):
        model = CifarResNet(depth, shortcut=shortcut)
    assert sum(p.numel() for p in model.parameters()) == COUNTS[depth]


@pytest.mark.parametrize("depth", [20, 56, 110])
def test_depth_counts_the_weighted_layers(depth: int) -> None:
    with torch.device("meta"):
        model = CifarResNet(depth)
    weighted = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(weighted) == depth


def batch_norm(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    mean = x.mean((0, 2, 3), keepdim=True)
    variance = x.var((0, 2, 3), keepdim=True, unbiased=False)
    scale, shift = (weights[f"{name}.{key}"].view(1, -1, 1, 1) for key in ("weight", "bias"))
    return (x - mean) / (variance + 1e-5).sqrt() * scale + shift


def reference(x: Tensor, weights: dict[str, Tensor], depth: int, residual: bool) -> Tensor:
    """He et al. 2015, Section 4.2, written out: training mode, float64."""
    x = F.conv2d(x, weights["stem.conv.weight"], padding=1)
    x = batch_norm(x, weights, "stem.norm").clamp(min=0)
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
    model = CifarResNet(14, shortcut=shortcut).double()
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


def test_feature_maps_halve_twice_and_widths_double() -> None:
    model = CifarResNet(20)
    x = model.stem(torch.randn(2, 3, 32, 32))
    shapes = []
    for stage in model.stages:
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]


@pytest.mark.parametrize(("init", "fan"), [("fan_in", 16 * 9), ("fan_out", 32 * 9)])
def test_convolutions_start_with_the_variance_of_he_et_al(init: str, fan: int) -> None:
    torch.manual_seed(0)
    weight = CifarResNet(8, init=init).stages[1][0].branch.conv1.weight
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
    ],
)
def test_impossible_arguments_are_named(arguments: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        CifarResNet(**arguments)
