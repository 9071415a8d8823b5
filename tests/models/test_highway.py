"""The highway network against published counts and a forward pass written out plainly."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.highway import Highway, HighwayLayer
from tests.conftest import assert_computes
from training.settings.network import outline


@pytest.mark.parametrize(("classes", "count"), [(10, 2_256_838), (100, 2_265_928)])
def test_it_has_the_published_size(classes: int, count: int) -> None:
    model = outline({"_target_": "models.highway.Highway", "classes": classes})
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize(
    ("depth", "layers"), [(8, (1, 1, 1)), (11, (2, 2, 2)), (13, (2, 3, 3)), (19, (4, 5, 5))]
)
def test_depth_is_shared_among_the_stages(depth: int, layers: tuple[int, ...]) -> None:
    with torch.device("meta"):
        model = Highway(depth)
    kinds = [[type(m) for m in stage].count(HighwayLayer) for stage in list(model.stages)[::2]]
    assert tuple(kinds) == layers
    assert sum(layers) + 5 == depth


def test_closed_gates_make_a_layer_the_identity() -> None:
    x = torch.randn(2, 8, 5, 5)
    torch.testing.assert_close(HighwayLayer(8, -100.0)(x), x)
    opened = HighwayLayer(8, 100.0)
    torch.testing.assert_close(opened(x), F.relu(opened.conv(x)))


def written_out(x: Tensor, weights: dict[str, Tensor], layers: tuple[int, ...]) -> Tensor:
    def conv(x: Tensor, name: str, padding: int = 1) -> Tensor:
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=padding)

    for stage, count in enumerate(layers):
        x = conv(x, f"stages.{2 * stage}.1").clamp(min=0)
        for layer in range(3, 3 + count):
            name = f"stages.{2 * stage}.{layer}"
            gate = 1 / (1 + (-conv(x, f"{name}.gate")).exp())
            x = gate * conv(x, f"{name}.conv").clamp(min=0) + (1 - gate) * x
        if stage < 2:
            n, channels, height, width = x.shape
            x = x.view(n, channels, height // 2, 2, width // 2, 2).amax((3, 5))
    x = conv(x, "last.0", 0).clamp(min=0).mean((2, 3))
    return x @ weights["classifier.weight"].T + weights["classifier.bias"]


def test_logits_and_gradients_equal_the_written_out_network() -> None:
    torch.manual_seed(0)
    model = Highway(13).double().eval()
    assert_computes(model, written_out, (2, 3, 3))


def test_weights_start_as_in_the_released_configuration() -> None:
    torch.manual_seed(0)
    given, plain = Highway(8, deviations=[1.0, 0.05]), Highway(8, classes=100, deviations=[1.0])
    assert float(given.stages[0][1].weight.detach().std()) == pytest.approx(1, rel=0.1)
    assert float(given.classifier.weight.detach().std()) == pytest.approx(0.05, rel=0.1)
    assert float(plain.classifier.weight.detach().std()) == pytest.approx((2 / 100) ** 0.5, rel=0.1)
    layer = given.stages[2][3]
    assert float(layer.conv.weight.detach().std()) == pytest.approx((2 / 720) ** 0.5, rel=0.05)
    assert (layer.gate.bias == -2).all() and not layer.conv.bias.any()
    assert [m.p for m in given.modules() if isinstance(m, torch.nn.Dropout)] == [0.2] * 4


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"depth": 7}, "depth=7 is below 8"), ({"classes": 1}, "classes=1 is below 2"),
     ({"deviations": [1.0, 1.0, 1.0]}, "deviations=.* has more than two values")],
)  # fmt: skip
def test_impossible_arguments_are_named(arguments: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Highway(**arguments)
