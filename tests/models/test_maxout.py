"""Maxout networks against published counts and a forward pass written out plainly."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import BareDropout
from models.maxout import Maxout, MaxoutNetwork
from tests.conftest import assert_computes
from tests.models.test_stack import words
from training.settings.network import outline

MAXOUT = words("model/maxout.yaml")
SVHN = words("experiment/goodfellow2013_maxout/table3/maxout_svhn.yaml")


@pytest.mark.parametrize(("layers", "hidden", "count", "maps"), [
    (MAXOUT, 500, 16_247_830, [33, 16, 15, 7, 9, 5]),
    (SVHN, 400, 10_461_050, [36, 18, 20, 10, 12, 6]),
])  # fmt: skip
def test_size_and_maps_are_the_papers(
    layers: str, hidden: int, count: int, maps: list[int]
) -> None:
    target = "models.maxout.MaxoutNetwork"
    model = outline({"_target_": target, "layers": layers, "hidden": hidden})
    assert isinstance(model, MaxoutNetwork)
    assert sum(p.numel() for p in model.parameters()) == count
    x, found = torch.empty(1, 3, 32, 32, device="meta"), []
    for layer in model.layers:
        x = layer(x)
        if not isinstance(layer, nn.Dropout):
            found.append(x.shape[2])
    assert found == maps


def test_two_pieces_of_which_one_is_zero_are_a_relu() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 8, 3)
    with torch.no_grad():
        conv.weight[4:], conv.bias[4:] = 0, 0  # type: ignore[index]
    x = torch.randn(2, 3, 6, 6)
    assert torch.equal(Maxout(2, conv)(x), F.relu(conv(x)[:, :4]))


def written_out(x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """A small one in evaluation mode, where dropout does nothing at all."""
    for place, border in ((1, 1), (4, 0)):
        w, b = (weights[f"layers.{place}.layer.{kind}"] for kind in ("weight", "bias"))
        n = len(w) // 2
        x = torch.stack([F.conv2d(x, w[k * n : k * n + n], b[k * n : k * n + n], padding=border)
                         for k in range(2)]).amax(0)  # fmt: skip
        # A window at every second place; the last may stand over the edge.
        starts = range(0, x.shape[2] - 1, 2)
        rows = [[x[:, :, i : i + 3, j : j + 3].amax((2, 3)) for j in starts] for i in starts]
        x = torch.stack([torch.stack(row, 2) for row in rows], 2)
    w, b = weights["hidden.1.layer.weight"], weights["hidden.1.layer.bias"]
    y = x.flatten(1) @ w.T + b
    x = y.view(len(y), 5, -1).amax(1)
    return x @ weights["classifier.weight"].T + weights["classifier.bias"]


def test_logits_and_gradients_equal_the_written_out_network() -> None:
    torch.manual_seed(0)
    model = MaxoutNetwork("3x6p1 m3 3x8 m3", size=16, hidden=12, bound=0.2).double().eval()
    assert_computes(model, written_out)


def test_what_is_dropped_at_the_image_scales_nothing() -> None:
    torch.manual_seed(0)
    layer, x = BareDropout(0.2), torch.full((100_000,), 5.0)
    kept = layer(x)
    torch.testing.assert_close(kept[kept != 0], x[kept != 0])
    assert float((kept == 0).float().mean()) == pytest.approx(0.2, abs=0.01)
    assert torch.equal(layer.eval()(x), x)
    drops = [(type(m), m.p) for m in MaxoutNetwork(MAXOUT).modules() if isinstance(m, nn.Dropout)]
    assert drops == [(BareDropout, 0.2), *[(nn.Dropout, 0.5)] * 4]


def test_weights_start_within_the_bound() -> None:
    torch.manual_seed(0)
    model = MaxoutNetwork("5x8 m2", size=16, hidden=20)
    for name, p in model.named_parameters():
        largest = float(p.detach().abs().max())
        assert largest == 0 if p.ndim == 1 else 0.0045 < largest <= 0.005, name


@pytest.mark.parametrize(("arguments", "named"), [
    ({"layers": "5y9"}, "layers='5y9': '5y9' is not a layer such as 8x96p4"),
    ({"layers": "5x9", "size": 4}, "layers='5x9': nothing is left of the images after '5x9'"),
    ({"layers": "5x9 m9", "size": 8}, "nothing is left of the images after 'm9'"),
    ({"layers": MAXOUT, "classes": 1}, "classes=1 is below 2"),
    ({"layers": MAXOUT, "pieces": 0}, "pieces=0 is below 1"),
    ({"layers": MAXOUT, "hidden": 0}, "hidden=0 is below 1"),
    ({"layers": MAXOUT, "hidden_pieces": 0}, "hidden_pieces=0 is below 1"),
    ({"layers": MAXOUT, "drop": 1.0}, "drop=1.0 is not in"),
    ({"layers": MAXOUT, "drop_image": -0.1}, "drop_image=-0.1 is not in"),
])  # fmt: skip
def test_impossible_arguments_are_named(arguments: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        MaxoutNetwork(**arguments)
