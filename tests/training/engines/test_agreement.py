"""An engine's form of a network that someone has changed is not taken for the network."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from models import densenet, residual, resnet
from models.densenet import DenseNet
from models.fractalnet import DropPath, FractalNet
from models.resnet import ResNet
from models.stochastic_depth import StochasticDepth
from training.settings.settings import Settings
from training.settings.types import ConfigError
from training.trainer import Trainer

pytest.importorskip("triton")
from data.arrays.imageset import ImageSet
from tests.emulated import Emulated
from training.engines import agreement, fused_residual
from training.engines.engine import Engine

SIZE = 16
disagreement = partial(agreement.disagreement, fused=True, captured=True)
KNOWN: list[Callable[[], nn.Module]] = [
    lambda: ResNet(8),
    lambda: ResNet(110),
    lambda: ResNet(8, shortcut="none"),
    lambda: ResNet(8, match="project_all", survival=0.5),
    lambda: ResNet(14, order="full_preact", share_preact="first", match="project"),
    lambda: ResNet(56, unit="bottleneck", order="full_preact", match="project"),
    lambda: ResNet(8, order="bn_after_add"),
    lambda: ResNet(8, shortcut="exclusive_gate", dropout=0.3),
    lambda: DenseNet(10, 12, bottleneck=True, compression=0.5, dropout=0.2),
    lambda: DenseNet(7, 12),
    lambda: DenseNet(7, 12, efficient=True),
    lambda: FractalNet(5, widths=[8, 8], drop_path=0.15, dropout=0.1),
]


@pytest.mark.parametrize("build", KNOWN)
def test_fused_networks_agree(build: Callable[[], nn.Module]) -> None:
    network = build()
    before = deepcopy(network.state_dict())
    for form in ({}, {"fused": False}, {"captured": False}):
        assert disagreement(network, SIZE, **form) is None
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


def test_networks_that_overflow_are_compared_all_the_same() -> None:
    """As very deep ones without training may, in evaluation: they are no other networks."""
    network = ResNet(8)
    nn.init.constant_(network.classifier.weight, float("inf"))
    assert disagreement(network, SIZE) is None


class Squeezed(residual.ResidualUnit):
    """Its branch is weighted by channel (Hu et al. 2018), as someone may try it."""

    def __init__(self, w_in: int, w_out: int, stride: int = 1, **kind: object):
        super().__init__(w_in, w_out, stride, **kind)  # type: ignore[arg-type]
        self.gate = nn.Conv2d(w_out, w_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.shared(x)
        fx = self.branch(x)
        return self.after(self.shortcut(x, fx * self.gate(fx.mean((2, 3), True)).sigmoid()))


def halved_unit(self: residual.ResidualUnit, x: Tensor) -> Tensor:
    x = self.shared(x)
    return self.after(self.shortcut(x, 0.99 * self.branch(x)))


def halved_layer(self: densenet.DenseLayer, maps: list[Tensor]) -> Tensor:
    return 0.99 * self.dropout(self.concatenated(*maps))


def maximum(self: densenet.Transition, x: Tensor) -> Tensor:
    return nn.functional.max_pool2d(self.dropout(self.conv(x)), 2)


@pytest.mark.parametrize("order", ["original", "full_preact"])
def test_another_unit_is_noticed(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(resnet, "ResidualUnit", Squeezed)
        assert "gate" in str(disagreement(ResNet(8, order=order), SIZE))
    monkeypatch.setattr(residual.ResidualUnit, "forward", halved_unit)
    assert "another output" in str(disagreement(ResNet(8, order=order), SIZE))


@pytest.mark.parametrize(("part", "forward"), [
    (densenet.DenseLayer, halved_layer), (densenet.Transition, maximum),
])  # fmt: skip
def test_another_dense_block_is_noticed(
    part: type, forward: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "forward", forward)
    assert "layers compute another" in str(disagreement(DenseNet(7, 12), SIZE))


def survivor_scaled(self: StochasticDepth, x: Tensor) -> Tensor:
    """As later works scale: 1 / p in training, nothing in evaluation."""
    if not self.training:
        return self.branch(x)
    return self.branch(x) / self.survival if torch.rand(()) < self.survival else x.new_zeros(())


def one_image_each(self: StochasticDepth, x: Tensor) -> Tensor:
    """One decision per image in place of one per mini-batch."""
    if not self.training:
        return self.survival * self.branch(x)
    return (torch.rand(len(x), 1, 1, 1) < self.survival) * self.branch(x)


def all_in_evaluation(self: StochasticDepth, x: Tensor) -> Tensor:
    if not self.training:
        return self.branch(x)
    return self.branch(x) if torch.rand(()) < self.survival else x.new_zeros(())


def scaled_paths(self: DropPath) -> Tensor | None:
    return 0.9 * self.draw() if self.training else None


def first_column_in_evaluation(self: DropPath) -> Tensor | None:
    return self.draw() if self.training else self.takes.float()


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("layer", "forward", "build"), [
    (StochasticDepth, survivor_scaled, lambda: ResNet(14, survival=0.5)),
    (StochasticDepth, one_image_each, lambda: ResNet(14, survival=0.5)),
    (StochasticDepth, all_in_evaluation, lambda: ResNet(14, survival=0.5)),
    (DropPath, scaled_paths, lambda: FractalNet(5, widths=[8, 8], drop_path=0.15)),
    (DropPath, first_column_in_evaluation, lambda: FractalNet(5, widths=[8, 8], drop_path=0.15)),
])  # fmt: skip
def test_another_way_of_dropping_is_noticed(
    layer: type, forward: Callable, build: Callable[[], nn.Module], fused: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(layer, "forward", forward)
    assert "compute another output" in str(disagreement(build(), SIZE, fused=fused))


def test_an_order_that_cannot_be_fused_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(residual.ORDERS, "no_norm", ("ac", ""))
    assert "do not take" in str(disagreement(ResNet(8, order="no_norm"), SIZE))


def test_such_a_network_is_captured_instead(
    tiny: Callable[..., Settings], digits: ImageSet, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Or refused, if it has to be fused; as it is, it is fused."""
    cpu = torch.device("cpu")
    monkeypatch.setattr("training.engines.engine.choose_engine", lambda *_, **__: ("fused", None))
    monkeypatch.setattr(Engine, "captured", lambda engine, step: step)
    assert Trainer(tiny(), digits, cpu).engine.name == "fused"
    monkeypatch.setattr(residual.ResidualUnit, "forward", halved_unit)
    trainer = Trainer(tiny(), digits, cpu)
    assert trainer.engine.name == "captured" and "another output" in str(trainer.engine.reason)
    assert "engine=captured" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="engine=fused: the fused layers compute another output"):
        Trainer(tiny("engine=fused"), digits, cpu)


def test_a_network_that_cannot_be_captured_is_eager(
    tiny: Callable[..., Settings], digits: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu, deep = torch.device("cpu"), ["model.depth=14", "model.survival=0.5"]
    monkeypatch.setattr(StochasticDepth, "forward", one_image_each)
    for choice in (("captured", None), ("fused", None)):
        monkeypatch.setattr("training.engines.engine.choose_engine", lambda *_, c=choice, **__: c)
        trainer = Trainer(tiny(*deep), digits, cpu, graphs=Emulated())
        assert trainer.engine.name == "eager" and trainer.engine.graphs is None
        assert not trainer.drawn


def test_another_shape_or_a_long_reason_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the fused form leaves out what comes last, or raises at length."""

    def shortened(model: nn.Module) -> nn.Module:
        model.classifier = nn.Linear(64, 5).double()
        return model

    monkeypatch.setattr(fused_residual, "fuse", shortened)
    assert "another output" in str(disagreement(ResNet(8), SIZE))

    def failing(model: nn.Module) -> nn.Module:
        raise RuntimeError("one line\nand more")

    monkeypatch.setattr(fused_residual, "fuse", failing)
    assert "\n" not in str(disagreement(ResNet(8), SIZE))
