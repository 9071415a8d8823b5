"""What `make theory` measures, on networks where the papers' equations give the answer."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from experiments.figures import theory as figure
from models.densenet import DenseBlock, DenseNet
from models.resnet import ResNet
from training.theory import __main__ as command
from training.theory import parts, signals
from training.theory.networks import ROWS, train, units


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(8, 3, 16, 16), torch.arange(8)


def network(**named: object) -> nn.Module:
    torch.manual_seed(0)
    return ResNet(26, **named)  # type: ignore[arg-type]


@pytest.mark.parametrize("factor", [1.0, 0.5, 0.9])
def test_without_branches_gradients_fall_by_the_product_of_factors(
    factor: float, batch: tuple[Tensor, Tensor]
) -> None:
    """He et al. 2016, eq. 8, with F = 0."""
    scaled = network(order="full_preact", shortcut="scale", scale_shortcut=factor, scale_branch=0.0)
    last_stage = signals.gradients(scaled, *batch)[-4:]  # inputs of three units, and the end
    expected = [last_stage[-1] * factor**power for power in (3, 2, 1, 0)]
    assert last_stage == pytest.approx(expected, rel=1e-4)


def test_gradients_are_those_of_autograd(batch: tuple[Tensor, Tensor]) -> None:
    """By a finite difference: the loss changes as the gradient's norm says, along it."""
    model = network(order="full_preact").double()
    images, labels = batch[0].double(), batch[1]
    norm = signals.gradients(model, images, labels)[-1]
    model.train()
    end = model.stages(model.stem(images)).detach().requires_grad_()  # type: ignore[operator]

    def loss(x: Tensor) -> Tensor:
        maps = model.pool(model.activation(x)).flatten(1)  # type: ignore[operator]
        return nn.functional.cross_entropy(model.classifier(maps), labels)  # type: ignore[operator]

    (gradient,) = torch.autograd.grad(loss(end), end)
    step = 1e-4 * gradient / gradient.norm()
    slope = float(loss(end + step) - loss(end - step)) / 2e-4
    assert norm == pytest.approx(slope, rel=1e-4)


def test_measuring_changes_nothing(batch: tuple[Tensor, Tensor]) -> None:
    model = network(order="original").eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    signals.gradients(model, *batch)
    signals.truncated(model, batch[0])
    signals.sums_left(model, batch[0])
    parts.error_without(model, *batch, [1])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.training and all(p.grad is None for p in model.parameters())


def test_only_identity_shortcuts_leave_a_sum(batch: tuple[Tensor, Tensor]) -> None:
    """He et al. 2016, eq. 4."""
    assert max(signals.sums_left(network(order="full_preact"), batch[0])) < 1e-5
    for other in (
        network(order="original"),
        network(order="full_preact", shortcut="scale", scale_shortcut=0.5, scale_branch=0.5),
    ):
        assert max(signals.sums_left(other, batch[0])) > 0.05


@pytest.mark.parametrize(("bias", "share"), [(0.0, 0.0), (-50.0, 1.0)])
def test_what_the_relu_truncates(bias: float, share: float, batch: tuple[Tensor, Tensor]) -> None:
    model = network(order="original")
    for unit in units(model):
        last = [layer for layer in unit.branch.modules() if isinstance(layer, nn.BatchNorm2d)][-1]
        nn.init.zeros_(last.weight)  # F(x) is the bias, and x is not negative
        nn.init.constant_(last.bias, bias)
    shares = signals.truncated(model, batch[0])
    assert shares == pytest.approx([share] * len(shares), abs=1e-3) and len(shares) == 12


def test_sub_networks(batch: tuple[Tensor, Tensor]) -> None:
    stochastic = network(order="original", survival=0.5)
    constant = network(order="original")
    states = zip(constant.state_dict().values(), stochastic.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in states)
    images, labels = torch.randn(64, 3, 16, 16), torch.arange(64) % 10
    assert parts.error_without(stochastic, images, labels, []) == parts.error(
        constant.eval(), images, labels
    ), "branches that are there count in full"
    for unit in units(constant):
        nn.init.zeros_(list(unit.branch.modules())[-1].weight)  # type: ignore[arg-type]
    everything = range(len(list(units(stochastic))))
    assert parts.error_without(stochastic, images, labels, everything) == parts.error(
        constant, images, labels
    )


def test_features_are_what_the_network_hands_on(batch: tuple[Tensor, Tensor]) -> None:
    model, ends = DenseNet(13, 12).eval(), []
    blocks = [part for part in model.stages if isinstance(part, DenseBlock)]
    for block in blocks:
        block.register_forward_hook(lambda _, x, y: ends.append(y.mean((2, 3)).detach().numpy()))
    found = parts.features(model, batch[0])
    per_block = len(found) // len(blocks)
    assert len(found) == sum(len(block.layers) for block in blocks)
    for number, end in enumerate(ends[: len(blocks)], 1):
        np.testing.assert_array_equal(found[number * per_block - 1], end)


def test_a_probe_learns_what_is_linear_and_nothing_else() -> None:
    random = np.random.default_rng(0)
    x, labels = random.normal(size=(400, 5)), random.integers(0, 2, 400)
    shifted = x + 8 * labels[:, None]
    assert parts._probe(shifted[:300], labels[:300], shifted[300:], labels[300:]) == 0
    assert 30 < parts._probe(x[:300], labels[:300], x[300:], labels[300:]) < 70


@pytest.mark.slow
def test_everything_is_measured_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path))
    monkeypatch.setattr(command, "train", lambda name: train(name, 2))
    monkeypatch.setattr(command, "DRAWS", 2)
    monkeypatch.setattr(command, "DROPPED", (0, 1, 4))
    for name, (row, smaller) in ROWS.items():
        monkeypatch.setitem(ROWS, name, (row, smaller.replace("38", "26").replace("22", "13")))
    assert command.main() == 0
    figure.main()
    table = pd.read_csv(tmp_path / "theory" / "theory.csv")
    assert set(table["panel"]) == {name for name, *_ in figure.PANELS}
    assert (tmp_path / "theory" / "theory.png").exists()
    text = (tmp_path / "theory" / "theory.md").read_text(encoding="utf-8")
    drawn = table.groupby(["panel", "network"]).ngroups
    assert text.count("\n| ") == drawn + 1
