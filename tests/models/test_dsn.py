"""Deeply-supervised nets against published counts and a forward pass written out plainly."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.dsn import DeeplySupervised
from models.stack import Stack
from tests.models.test_stack import words
from training.settings.network import outline

DSN = words("model/dsn.yaml")


@pytest.mark.parametrize(
    ("classes", "trunk", "heads"), [(10, 966_986, 2_580_510), (100, 984_356, 25_805_100)]
)
def test_trunk_and_heads_have_the_papers_size(classes: int, trunk: int, heads: int) -> None:
    target = "models.dsn.DeeplySupervised"
    model = outline({"_target_": target, "layers": DSN, "classes": classes})
    assert isinstance(model, DeeplySupervised)
    assert sum(p.numel() for p in model.trunk.parameters()) == trunk
    assert sum(p.numel() for p in model.heads.parameters()) == heads
    assert [head.in_features for head in model.heads] == [192 * n**2 for n in (32, 16, 8)]  # type: ignore[union-attr]


def test_heads_read_what_the_large_convolutions_put_out() -> None:
    """In training, without dropout, every output against plain functions of the weights."""
    torch.manual_seed(0)
    model = DeeplySupervised(DSN, size=16, deviations=[0.1]).double().train()
    for layer in model.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    w, x = dict(model.named_parameters()), torch.randn(3, 3, 16, 16, dtype=torch.float64)
    found, heads, y = model(x), [], x
    for number in range(1, 10):
        name = f"trunk.layers.conv{number}"
        y = F.conv2d(y, w[f"{name}.weight"], w[f"{name}.bias"],
                     padding={1: 2, 4: 2, 7: 1}.get(number, 0))  # fmt: skip
        if number in (1, 4, 7):
            place = f"heads.{len(heads)}"
            flat = y.reshape(3, -1)
            heads.append(flat @ w[f"{place}.weight"].T + w[f"{place}.bias"])
        if number < 9:
            y = y.clamp(min=0)
        if number in (3, 6):
            y = F.max_pool2d(F.pad(y, (0, 1, 0, 1), value=-1.0), 3, 2)
    assert len(found) == 4
    for got, expected in zip(found, [y.mean((2, 3)), *heads], strict=True):
        torch.testing.assert_close(got, expected)


def loss(outputs: tuple[Tensor, ...], which: list[int]) -> Tensor:
    labels = torch.tensor([1, 4])
    return sum((F.cross_entropy(outputs[k], labels) for k in which), torch.tensor(0.0))


def test_the_gradient_with_heads_is_that_without_and_those_of_the_heads() -> None:
    torch.manual_seed(0)
    model, x = DeeplySupervised(DSN, size=8, deviations=[0.1]).double(), torch.randn(2, 3, 8, 8)

    def gradient(which: list[int]) -> Tensor:
        torch.manual_seed(1)  # of what is dropped
        weight = model.trunk.layers.conv1.weight
        return torch.autograd.grad(loss(model(x.double()), which), weight)[0]

    parts = [gradient([k]) for k in range(4)]
    assert all(part.any() for part in parts)
    torch.testing.assert_close(gradient([0, 1, 2, 3]), sum(parts))


def test_evaluation_is_that_of_the_stack_alone() -> None:
    torch.manual_seed(0)
    model = DeeplySupervised(DSN, size=16).eval()
    stack = Stack(DSN, scaled=False).eval()
    stack.load_state_dict(model.trunk.state_dict())
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(model(x), stack(x))
    weights = {k: v for k, v in model.state_dict().items() if k.startswith("heads")}
    bounds = [(3 / (10 * head.in_features)) ** 0.5 for head in model.heads]  # type: ignore[union-attr]
    for number, bound in enumerate(bounds):
        largest = float(weights[f"heads.{number}.weight"].abs().max())
        assert 0.99 * bound < largest <= bound and not weights[f"heads.{number}.bias"].any()


@pytest.mark.parametrize(("arguments", "named"), [
    ({"layers": "3x9v 1xK", "size": 2}, "size=2 is too small for layers="),
    ({"layers": DSN, "classes": 1}, "classes=1"),
    ({"layers": "3x9 r"}, "layers='3x9 r' does not end in K channels"),
])  # fmt: skip
def test_impossible_arguments_are_named(arguments: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        DeeplySupervised(**arguments)
