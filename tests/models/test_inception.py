"""Inception networks against published counts and maps, torchvision's, and written-out forward
passes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from models.inception import Auxiliary, HalvingPool, Inception
from training.settings.network import outline, trace
from training.weights.export import load_weights


def drawn_less(version: str) -> Inception:
    """A network without memory."""
    with torch.device("meta"):
        return Inception(version)


# Parameters without, and of each, auxiliary classifier; multiply-adds: counted from the papers'
# tables. BN-Inception has no biases beside its normalisations (Ioffe and Szegedy 2015, Section 3.2)
@pytest.mark.parametrize(("version", "size", "params", "heads", "macs"), [
    ("googlenet", 224, 6_998_552, [3_188_840, 3_190_888], 1.583e9),
    ("bn_inception", 224, 11_285_224, [], 2.033e9),
    ("inception_v3", 299, 23_834_568, [27_161_264 - 23_834_568], 5.713e9),
])  # fmt: skip
def test_sizes(version: str, size: int, params: int, heads: list[int], macs: float) -> None:
    model = outline({"_target_": "models.inception.Inception", "version": version})
    found = [sum(p.numel() for p in m.parameters())
             for m in model.modules() if isinstance(m, Auxiliary)]  # fmt: skip
    assert found == heads
    assert sum(p.numel() for p in model.parameters()) - sum(heads) == params
    assert trace(model, size)[0][""] == pytest.approx(macs, rel=5e-4)


# Width and side of what each part puts out. Ioffe and Szegedy 2015, Fig. 5, print 576 for 4c and
# 4d, and 1024 for 4e, whose branches sum to other numbers.
MAPS = {
    "googlenet": "stem 192 28, 3a 256 28, 3b 480 28, pool3 480 14, 4a 512 14, 4b 512 14, 4c 512 14,"
    " 4d 528 14, 4e 832 14, pool4 832 7, 5a 832 7, 5b 1024 7",
    "bn_inception": "stem 192 28, 3a 256 28, 3b 320 28, 3c 576 14, 4a 576 14, 4b 576 14, 4c 608 14,"
    " 4d 608 14, 4e 1056 7, 5a 1024 7, 5b 1024 7",
    "inception_v3": "stem 192 35, 5a 256 35, 5b 288 35, 5c 288 35, 6a 768 17, 6b 768 17, 6c 768 17,"
    " 6d 768 17, 6e 768 17, 7a 1280 8, 7b 2048 8, 7c 2048 8",
}


@pytest.mark.parametrize("version", MAPS)
def test_maps_are_the_papers(version: str) -> None:
    model, found = drawn_less(version), []
    size = 299 if version == "inception_v3" else 224
    x = torch.empty(1, 3, size, size, device="meta")
    for name, part in model.parts.named_children():
        if not isinstance(part, Auxiliary):
            x = part(x)
            found.append(f"{name} {x.shape[1]} {x.shape[2]}")
    assert ", ".join(found) == MAPS[version]


@pytest.mark.parametrize(("version", "heads", "sizes"), [
    ("googlenet", 2, (33, 231)), ("bn_inception", 0, (32, 231)), ("inception_v3", 1, (75, 306)),
    pytest.param("googlenet", 2, (64, 224), marks=pytest.mark.slow),
    pytest.param("bn_inception", 0, (64, 224), marks=pytest.mark.slow),
    pytest.param("inception_v3", 1, (96, 299), marks=pytest.mark.slow),
])  # fmt: skip
def test_images_of_any_size_and_heads_only_in_training(
    version: str, heads: int, sizes: tuple[int, ...]
) -> None:
    model = drawn_less(version)
    for size in sizes:
        images = torch.empty(2, 3, size, size + 4, device="meta")
        outputs = model.train()(images)
        outputs = outputs if heads else (outputs,)
        assert [x.shape for x in outputs] == [(2, 1000)] * (1 + heads)
        assert model.eval()(images).shape == (2, 1000)


def test_torchvisions_weights_give_the_same_outputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.inception_v3(weights=None, init_weights=False)
    for layer in theirs.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.1, 0.1)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.2, 0.6)  # type: ignore[arg-type]
    torch.save(theirs.state_dict(), tmp_path / "inception_v3.pth")
    ours, x = Inception("inception_v3"), torch.randn(2, 3, 299, 299)
    assert not load_weights(ours, tmp_path / "inception_v3.pth")
    with torch.no_grad():
        expected = theirs.eval()(x)
        assert expected.std() > 1e-3
        torch.testing.assert_close(ours.eval()(x), expected, rtol=1e-4, atol=1e-5)
        for module in (ours, theirs):  # heads, too, whose dropout would differ otherwise
            for layer in module.train().modules():
                if isinstance(layer, nn.Dropout | nn.BatchNorm2d):
                    layer.eval()
        for found, wanted in zip(ours(x), theirs(x), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


class Written:
    """The layers of a network in the order of its weights, by plain functions."""

    def __init__(self, weights: dict[str, Tensor]):
        self.left: Iterator[tuple[str, Tensor]] = iter(
            (k, v) for k, v in weights.items() if not k.startswith("classifier")
        )
        self.last = weights["classifier.weight"], weights["classifier.bias"]

    def conv(self, x: Tensor, size: int, stride: int = 1) -> Tensor:
        (_, weight), (_, bias) = next(self.left), next(self.left)
        return F.conv2d(x, weight, bias, stride, size // 2).clamp(min=0)

    def normed(self, x: Tensor, size: int, stride: int = 1) -> Tensor:
        weight, scale, shift, mean, variance = (next(self.left)[1] for _ in range(5))
        x = F.conv2d(x, weight, None, stride, size // 2)
        shape = (1, -1, 1, 1)
        x = (x - mean.view(shape)) / (variance.view(shape) + 1e-5).sqrt()
        return (x * scale.view(shape) + shift.view(shape)).clamp(min=0)

    def classify(self, x: Tensor) -> Tensor:
        return F.linear(x.mean((2, 3)), *self.last)


def googlenet(x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Szegedy et al. 2015, Table 1, without auxiliary classifiers."""
    net = Written({k: v for k, v in weights.items() if "auxiliary" not in k})

    def norm(x: Tensor) -> Tensor:  # Krizhevsky et al. 2012, Section 3.3, over 5 maps
        squares = F.pad(x.square(), (0, 0, 0, 0, 2, 2))
        near = sum(squares[:, k : k + x.shape[1]] for k in range(5))
        return x / (1 + 1e-4 / 5 * near) ** 0.75

    def pool(x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, 2, ceil_mode=True)

    x = norm(pool(net.conv(x, 7, 2)))
    x = pool(norm(net.conv(net.conv(x, 1), 3)))
    for unit in range(9):
        if unit in (2, 7):
            x = pool(x)
        one, three = net.conv(x, 1), net.conv(net.conv(x, 1), 3)
        five = net.conv(net.conv(x, 1), 5)
        x = torch.cat([one, three, five, net.conv(F.max_pool2d(x, 3, 1, 1), 1)], 1)
    return net.classify(x)


def bn_inception(x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Ioffe and Szegedy 2015, Fig. 5."""
    net = Written(weights)

    def pool(x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, 2, ceil_mode=True)

    x = pool(net.normed(x, 7, 2))
    x = pool(net.normed(net.normed(x, 1), 3))
    for unit in ("3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        halves = unit in ("3c", "4e")
        stride = 2 if halves else 1
        branches = [] if halves else [net.normed(x, 1)]
        branches.append(net.normed(net.normed(x, 1), 3, stride))
        branches.append(net.normed(net.normed(net.normed(x, 1), 3), 3, stride))
        if halves:
            branches.append(pool(x))
        elif unit == "5b":
            branches.append(net.normed(F.max_pool2d(x, 3, 1, 1), 1))
        else:
            branches.append(net.normed(F.conv2d(
                x, torch.full((x.shape[1], 1, 3, 3), 1 / 9, dtype=x.dtype), padding=1,
                groups=x.shape[1]), 1))  # fmt: skip
        x = torch.cat(branches, 1)
    return net.classify(x)


@pytest.mark.parametrize("written_out", [googlenet, bn_inception])
def test_logits_and_gradients_equal_the_written_out_network(
    written_out: Callable[..., Tensor],
) -> None:
    torch.manual_seed(0)
    model = Inception(str(written_out.__name__), 10).double().eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.1, 0.1)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    weights = {k: v.clone() for k, v in model.state_dict().items() if "num_batches" not in k}
    first = weights["parts.stem.0.0.weight"].requires_grad_()
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    logits, expected = model(x), written_out(x, weights)
    torch.testing.assert_close(logits, expected)
    (wanted,) = torch.autograd.grad(expected.square().sum(), first)
    logits.square().sum().backward()
    torch.testing.assert_close(model.parts.stem[0][0].weight.grad, wanted)


def test_googlenets_heads_see_what_the_paper_says() -> None:
    """Averages of 5x5 at stride 3 on 14x14 maps, 128 maps, 1024 units (Section 5)."""
    torch.manual_seed(0)
    model = Inception("googlenet", 10).eval()
    head = model.parts.auxiliary4a
    weights, x = list(head.parameters()), torch.rand(2, 512, 14, 14)
    rows = [
        [x[:, :, i : i + 5, j : j + 5].mean((2, 3)) for j in (0, 3, 6, 9)] for i in (0, 3, 6, 9)
    ]
    means = torch.stack([torch.stack(row, 2) for row in rows], 2)
    maps = F.conv2d(means, *weights[:2]).relu().flatten(1)
    expected = F.linear(F.linear(maps, *weights[2:4]).relu(), *weights[4:])
    torch.testing.assert_close(head(x), expected)


@pytest.mark.parametrize(("version", "rates"), [
    ("googlenet", [0.7, 0.7, 0.4]),  # Szegedy et al. 2015, Section 5
    ("bn_inception", [0.0]),  # Ioffe and Szegedy 2015, Section 4.2.1: dropout removed
    ("inception_v3", [0.2]),  # the authors' code: dropout_keep_prob=0.8
])  # fmt: skip
def test_rates_of_dropout(version: str, rates: list[float]) -> None:
    model = drawn_less(version)
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == rates


def test_pools_have_as_many_places_as_convolutions() -> None:
    x = torch.randn(1, 2, 7, 6)
    found = HalvingPool()(x)
    assert found.shape == nn.Conv2d(2, 2, 3, 2, 1)(x).shape
    for i in range(4):
        for j in range(3):
            window = x[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            assert torch.equal(found[:, :, i, j], window.amax((2, 3)))


def test_weights_start_as_caffes() -> None:
    torch.manual_seed(0)
    model = Inception("googlenet", 10, init="xavier")
    weight = model.parts.get_submodule("5b")[1][1][0].weight.detach()
    bound = (3 / (192 * 9)) ** 0.5
    assert 0.99 * bound < float(weight.abs().max()) <= bound
    biases = [m.bias.detach() for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    starts = [0.0 if len(b) == 10 else 0.2 for b in biases]
    assert starts.count(0.0) == 3
    assert all((b == start).all() for b, start in zip(biases, starts, strict=True))


@pytest.mark.parametrize(("arguments", "named"), [
    ({"version": "inception_v4"}, "version='inception_v4' is unknown; choose one of googlenet"),
    ({"version": "googlenet", "classes": 1}, "classes=1 is below 2"),
    ({"version": "googlenet", "init": "caffe"}, "init='caffe' is unknown; choose one of fan_in"),
])  # fmt: skip
def test_impossible_arguments_are_named(arguments: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Inception(**arguments)
