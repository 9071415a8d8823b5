"""VGG and PReLU-net against published counts, torchvision's, and windows taken one by one."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from models import fully_connected
from models.fully_connected import FullyConnected, PyramidPool
from models.prelu_net import PReLUNet
from models.vgg import VGG
from training.settings.network import outline, trace
from training.weights.export import by_order, load_weights

VGG16, VGG19 = ({"_target_": "models.vgg.VGG", "depth": depth} for depth in (16, 19))
A, B, C = ({"_target_": "models.prelu_net.PReLUNet", "version": version} for version in "ABC")


# Counted from the papers' tables; He et al. 2015, "Delving deep", Table 3, print 1.90, 2.32 and
# 5.30 x 10^10 multiply-adds for A, B and C.
@pytest.mark.parametrize(("model", "params", "macs"), [
    (VGG16, 138_357_544, 15.47e9), (VGG19, 143_667_240, 19.63e9), (A, 178_032_072, 19.06e9),
    (B, 183_343_048, 23.22e9), (C, 330_623_944, 53.46e9),
])  # fmt: skip
def test_sizes(model: dict, params: int, macs: float) -> None:
    network = outline(model)
    assert sum(p.numel() for p in network.parameters()) == params
    assert trace(network, 224)[0][""] == pytest.approx(macs, rel=5e-4)
    for height, width in ((64, 64), (224, 224), (256, 341)):
        assert network(torch.empty(2, 3, height, width, device="meta")).shape == (2, 1000)


def test_maps_are_the_papers() -> None:
    with torch.device("meta"):
        vgg, net = VGG(16), PReLUNet("C")
    x, found = torch.empty(1, 3, 224, 224, device="meta"), []
    for layer in vgg.features:
        x = layer(x)
        if isinstance(layer, nn.MaxPool2d):
            found.append((x.shape[1], x.shape[2]))
    assert found == [(64, 112), (128, 56), (256, 28), (512, 14), (512, 7)]
    x, found = net.stem(torch.empty(1, 3, 224, 224, device="meta")), []
    assert x.shape[1:] == (96, 112, 112)
    for stage in net.stages:
        x = stage(x)
        found.append((x.shape[1], x.shape[2]))
    assert found == [(384, 56), (768, 28), (896, 14)]


def written_out(x: Tensor, head: FullyConnected, size: int) -> Tensor:
    """Scores of every window by itself, and their mean."""
    scores = []
    for i in range(x.shape[2] - size + 1):
        for j in range(x.shape[3] - size + 1):
            window = x[:, :, i : i + size, j : j + size]
            if isinstance(head.pool, PyramidPool):
                parts = []
                for bins in head.pool.grids:
                    edges = [(k * size // bins, -(-(k + 1) * size // bins)) for k in range(bins)]
                    cells = [
                        window[:, :, a:b, c:d].amax((2, 3)) for a, b in edges for c, d in edges
                    ]
                    parts.append(torch.stack(cells, 2).flatten(1))
                features = torch.cat(parts, 1)
            else:
                features = window.flatten(1)
            for layer in (head.layers[0], head.layers[3]):
                features = F.linear(features, layer.weight, layer.bias).relu()
            scores.append(F.linear(features, head.classifier.weight, head.classifier.bias))
    return torch.stack(scores).mean(0)


@pytest.mark.parametrize("pyramid", [False, True])
def test_heads_slide_over_larger_maps(pyramid: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fully_connected, "WIDTH", 9)
    torch.manual_seed(0)
    pool: nn.Module = PyramidPool((7, 3, 2, 1)) if pyramid else nn.AdaptiveAvgPool2d(7)
    size, bins = (14, 63) if pyramid else (7, 49)
    head = FullyConnected(3 * bins, 5, window=size, pool=pool, act=nn.ReLU).double().eval()
    for height, width in ((size, size), (size + 3, size + 1)):
        x = torch.randn(2, 3, height, width, dtype=torch.float64)
        torch.testing.assert_close(head(x), written_out(x, head, size))
    if not pyramid:  # as convolutions: Simonyan and Zisserman 2015, Section 3.2
        first, second, last = head.layers[0], head.layers[3], head.classifier
        y = F.conv2d(x, first.weight.view(9, 3, 7, 7), first.bias).relu()
        y = F.conv2d(y, second.weight[:, :, None, None], second.bias).relu()
        y = F.conv2d(y, last.weight[:, :, None, None], last.bias)
        torch.testing.assert_close(head(x), y.mean((2, 3)))


@pytest.mark.slow
def test_torchvisions_weights_give_the_same_outputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.vgg16(weights=None, init_weights=False).eval()
    torch.save(theirs.state_dict(), tmp_path / "vgg16.pth")
    ours, x = VGG(16).eval(), torch.randn(1, 3, 224, 224)
    assert not load_weights(ours, tmp_path / "vgg16.pth")
    with torch.no_grad():
        expected = theirs(x)
        assert expected.std() > 1e-4
        torch.testing.assert_close(ours(x), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("depth", [16, 19])
def test_torchvisions_names_find_ours_in_order(depth: int) -> None:
    """As `load_weights` takes them, without memory."""
    with torch.device("meta"):
        theirs = getattr(torchvision.models, f"vgg{depth}")(weights=None).state_dict()
        ours = VGG(depth).state_dict()
    for sort in (False, True):
        found = by_order(ours, dict(theirs), sort=sort)
        assert all(found[a] is b for a, b in zip(ours, theirs.values(), strict=True))


def test_weights_start_by_the_papers_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """He et al. 2015, "Delving deep", eq. 15 with n of eq. 14, and a = 0.25."""
    monkeypatch.setattr("models.prelu_net.WIDTHS", {"A": (16, 24, 32)})
    monkeypatch.setattr("models.prelu_net.WIDTH", 64)
    monkeypatch.setattr(fully_connected, "WIDTH", 64)
    torch.manual_seed(0)
    net = PReLUNet("A", 10)
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    drawn = []
    for layer in layers[:-1]:
        fan = layer.weight.numel() / layer.weight.shape[1]
        expected = (2 / (1 + 0.25**2) / fan) ** 0.5
        assert float(layer.weight.detach().std()) == pytest.approx(expected, rel=0.1)
        drawn.append(layer.weight.detach().flatten() / expected)
    assert float(torch.cat(drawn).std()) == pytest.approx(1, rel=0.01)
    assert not any(layer.bias.any() for layer in layers)
    slopes = [m.weight for m in net.modules() if isinstance(m, nn.PReLU)]
    assert len(slopes) == 1 + 3 * 5 + 2 and all((s == 0.25).all() for s in slopes)
    x = torch.randn(2, 3, 224, 224)
    assert net.eval()(x).shape == (2, 10)


@pytest.mark.parametrize(("build", "named"), [
    (lambda: VGG(13), "depth=13 is not one of 16, 19"),
    (lambda: VGG(16, 1), "classes=1 is below 2"),
    (lambda: PReLUNet("D"), "version='D' is unknown; choose one of A, B, C"),
    (lambda: PReLUNet("A", 1), "classes=1 is below 2"),
])  # fmt: skip
def test_impossible_arguments_are_named(build: Callable[[], object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        build()
