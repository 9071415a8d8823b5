"""Straight stacks against published counts and a forward pass written out in plain functions."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import Tensor, nn

from models.layers import UnscaledDropout
from models.stack import Stack
from tests.conftest import assert_computes
from training.settings.config import CONF
from training.settings.network import outline


def words(path: str) -> str:
    """The layers that a config spells."""
    config: Any = OmegaConf.load(CONF / path)
    return str(config.get("model", config).layers)


NIN, ALLCNN = words("model/nin.yaml"), words("model/allcnn.yaml")
ELU = words("model/elu.yaml")
NIN_SVHN = words("experiment/lin2014_nin/table1/nin_svhn.yaml")
SIZES = [(NIN, 10, 966_986), (NIN, 100, 984_356), (NIN_SVHN, 10, 1_986_026),
         (ALLCNN, 10, 1_369_738), (ALLCNN, 100, 1_387_108),
         (ELU, 10, 39_226_634), (ELU, 100, 39_330_404)]  # fmt: skip


@pytest.mark.parametrize(("layers", "classes", "count"), SIZES)
def test_stacks_have_the_papers_size(layers: str, classes: int, count: int) -> None:
    model = outline({"_target_": "models.stack.Stack", "layers": layers, "classes": classes})
    assert sum(p.numel() for p in model.parameters()) == count
    assert model(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, classes)


@pytest.mark.parametrize(("layers", "maps"), [
    (NIN, [(96, 32), (96, 16), (192, 16), (192, 8), (10, 8)]),
    (NIN_SVHN, [(64, 32), (64, 16), (128, 16), (128, 8), (10, 8)]),
    (ALLCNN, [(96, 32), (96, 16), (192, 16), (192, 8), (192, 6), (10, 6)]),
    (ELU, [(384, 32), (384, 16), (640, 16), (640, 8), (768, 8), (768, 4), (896, 4), (896, 2),
           (1024, 2), (1024, 1), (10, 1)]),
])  # fmt: skip
def test_maps_shrink_where_the_papers_say(layers: str, maps: list[tuple[int, int]]) -> None:
    x, found = torch.empty(1, 3, 32, 32, device="meta"), []
    with torch.device("meta"):
        model = Stack(layers)
    for layer in model.layers:
        before, x = x, layer(x)
        if x.shape[2] != before.shape[2]:
            found += [(before.shape[1], before.shape[2]), (x.shape[1], x.shape[2])]
    found.append((x.shape[1], x.shape[2]))
    assert [pair for pair in maps if pair in found] == maps


def written_out(x: Tensor, weights: dict[str, Tensor], layers: str) -> Tensor:
    """The two networks by hand, in evaluation mode; NIN scales by a half where it had dropped."""

    def conv(x: Tensor, number: int, **how: int) -> Tensor:
        name = f"layers.conv{number}"
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], **how).clamp(min=0)

    if layers == NIN:
        for number in range(1, 10):
            x = conv(x, number, padding={1: 2, 4: 2, 7: 1}.get(number, 0))
            if number in (3, 6):
                x = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-1.0), 3, 2) * 0.5
    else:
        for number in range(1, 10):
            stride, padding = 2 if number in (3, 6) else 1, int(number < 7)
            x = conv(x, number, stride=stride, padding=padding)
    return x.mean((2, 3))


@pytest.mark.parametrize(("layers", "scaled"), [(NIN, False), (ALLCNN, True)])
def test_logits_and_gradients_equal_the_written_out_network(layers: str, scaled: bool) -> None:
    torch.manual_seed(0)
    model = Stack(layers, scaled=scaled, init="normal", deviations=[0.1]).double().eval()
    assert_computes(model, written_out, layers)


def elu_written_out(x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Kernels of 1, 2 and 3; what lies beyond the right and the bottom edge is 0."""
    for number, size in ((1, 3), (2, 2), (3, 1)):
        left, right = (size - 1) // 2, size // 2
        name = f"layers.conv{number}"
        x = F.conv2d(
            F.pad(x, (left, right, left, right)), weights[f"{name}.weight"], weights[f"{name}.bias"]
        )
        if number < 3:
            x = F.max_pool2d(torch.where(x > 0, x, x.exp() - 1), 2)
    return x.mean((2, 3))


def test_kernels_of_two_have_a_border_at_one_side() -> None:
    torch.manual_seed(0)
    model = Stack("3x6 e d0.0 m2 2x8 e d0.5 m2 1xK", init="fan_in").double().eval()
    assert_computes(model, elu_written_out)


def test_unscaled_dropout_keeps_values_and_scales_in_evaluation() -> None:
    torch.manual_seed(0)
    layer, x = UnscaledDropout(0.3), torch.full((100_000,), 5.0)
    kept = layer(x)
    torch.testing.assert_close(kept[kept != 0], x[kept != 0])
    assert float((kept == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    torch.testing.assert_close(layer.eval()(x), 0.7 * x)
    kinds = [type(m) for m in Stack(NIN, scaled=False).modules() if isinstance(m, nn.Dropout)]
    assert kinds == [UnscaledDropout] * 2


def test_weights_start_as_they_are_told() -> None:
    torch.manual_seed(0)
    model = Stack(NIN, classes=100, init="normal", deviations=[0.001, 0.01, 0.01, 0.05])
    convs = [layer for layer in model.layers if isinstance(layer, nn.Conv2d)]
    expected = [0.001, 0.01, 0.01, *[0.05] * 6]
    assert [float(c.weight.detach().std()) for c in convs] == pytest.approx(expected, rel=0.05)
    caffe = Stack(ALLCNN).layers.conv1.weight.detach()  # 3 channels in and 96 out, 3x3
    bound = (3 / (3 * 9)) ** 0.5
    assert 0.99 * bound < float(caffe.abs().max()) <= bound
    assert not any(c.bias.any() for c in convs)
    he = Stack(ALLCNN, init="fan_in").layers.conv2.weight.detach()
    assert float(he.std()) == pytest.approx((2 / (96 * 9)) ** 0.5, rel=0.02)


@pytest.mark.parametrize("layers", [NIN, ALLCNN])
def test_classes_that_have_fallen_silent_guess_and_learn_nothing(layers: str) -> None:
    """Of both networks, whose papers have a ReLU behind the classes."""
    model = Stack(layers)
    last = [layer for layer in model.layers if isinstance(layer, nn.Conv2d)][-1]
    nn.init.constant_(last.bias, -10.0)  # type: ignore[arg-type]
    loss = F.cross_entropy(model(torch.randn(2, 3, 16, 16)), torch.tensor([3, 7]))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(2.3026, abs=1e-4)
    assert not any(p.grad.any() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"layers": "5y192 r 1xK"}, "layers='5y192 r 1xK': '5y192' is not a layer"),
        ({"layers": "0x192 1xK"}, "'0x192' is not a layer"),
        ({"layers": "3x192/0 1xK"}, "'3x192/0' is not a layer"),
        ({"layers": "3x192 d1.5 1xK"}, "'d1.5' is not a layer"),
        ({"layers": "5x192 r"}, "layers='5x192 r' does not end in K channels"),
        ({"layers": ""}, "layers='' does not end in K channels"),
        ({"layers": NIN, "classes": 1}, "classes=1"),
        ({"layers": NIN, "init": "fan_out"}, "init='fan_out' is unknown"),
        ({"layers": NIN, "init": "normal"}, "deviations=.* and init='normal'"),
        ({"layers": NIN, "init": "xavier", "deviations": [0.1]}, "deviations=.* and init='xavier'"),
    ],
)
def test_impossible_arguments_are_named(arguments: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Stack(**arguments)
