"""Whole networks with fused layers against the plain ones, and a trainer that uses them."""

import gc
import weakref
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from data.arrays.imageset import ImageSet
from models.densenet import DenseNet
from models.fractalnet import FractalNet
from models.resnet import WIDTHS, ResNet
from training.bench.roofline import NORM_PASSES
from training.settings.settings import Settings
from training.trainer import Trainer

pytest.importorskip("triton")
from training.engines.fused_dense import SharedBlock
from training.engines.fused_residual import PostUnit, PreUnit, fuse
from training.engines.kernels.norm_act import NormAct

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def narrow_imagenet() -> ResNet:
    """An eighth of the channels, all that makes it another network."""
    with patch.dict(WIDTHS, imagenet=(8, 16, 32, 64)):
        return ResNet(18, images="imagenet")


NETWORKS: dict[str, tuple[Callable[[], nn.Module], type]] = {
    "original": (lambda: ResNet(8), PostUnit),
    "projections": (lambda: ResNet(8, match="project_all"), PostUnit),
    "plain": (lambda: ResNet(8, shortcut="none"), PostUnit),
    "full_preact": (lambda: ResNet(14, order="full_preact"), PreUnit),
    "share_first": (
        lambda: ResNet(8, order="full_preact", share_preact="first", match="project"),
        PreUnit,
    ),
    "bottleneck": (
        lambda: ResNet(11, unit="bottleneck", order="full_preact", match="project"), PreUnit,
    ),
    "single": (lambda: ResNet(8, unit="single", order="full_preact"), PreUnit),
    "wide": (
        lambda: ResNet(10, order="full_preact", match="project", projection_norm=False, widen=2),
        PreUnit,
    ),
    "wide_16": (
        lambda: ResNet(16, order="full_preact", match="project", projection_norm=False, widen=2),
        PreUnit,
    ),
    "bn_after_add": (lambda: ResNet(8, order="bn_after_add"), NormAct),
    "relu_before_add": (lambda: ResNet(8, order="relu_before_add"), NormAct),
    "relu_preact": (lambda: ResNet(8, order="relu_preact"), NormAct),
    "gate": (lambda: ResNet(8, shortcut="exclusive_gate", gate_norm=True), NormAct),
    "scale": (lambda: ResNet(8, shortcut="scale", scale_shortcut=0.5), NormAct),
    "imagenet": (lambda: ResNet(18, images="imagenet"), PostUnit),
    "narrow_imagenet": (narrow_imagenet, PostUnit),
    "dense": (lambda: DenseNet(7, 4), SharedBlock),
    "dense_bc": (lambda: DenseNet(16, 4, bottleneck=True, compression=0.5), SharedBlock),
    "efficient": (
        lambda: DenseNet(10, 4, bottleneck=True, compression=0.5, efficient=True), NormAct,
    ),
    "fractal": (lambda: FractalNet(7, widths=(4, 6, 6)), nn.BatchNorm2d),
}  # fmt: skip
# Their units, or all but their size, are in others of the networks.
SLOW = {"projections", "plain", "share_first", "relu_before_add", "scale", "wide", "wide_16",
        "imagenet"}  # fmt: skip


def slow(names: Iterable[str], which: set[str]) -> list[Any]:
    """Names as parameters, some of them left to `make test-all`."""
    return [pytest.param(n, marks=pytest.mark.slow) if n in which else n for n in names]


def relative(found: torch.Tensor, expected: torch.Tensor, scale: float) -> float:
    return float((found - expected).norm()) / scale


@pytest.mark.parametrize("name", slow(NETWORKS, SLOW))
def test_fused_networks_compute_the_same(name: str) -> None:
    make, kind = NETWORKS[name]
    torch.manual_seed(0)
    plain = make().double().to(DEVICE).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for parameter in plain.parameters():
        if parameter.ndim == 1:  # scales of every sign, shifts other than 0
            nn.init.uniform_(parameter, -0.5, 1.5)
    fused = fuse(deepcopy(plain))
    assert any(isinstance(module, kind) for module in fused.modules())
    assert list(fused.state_dict()) == list(plain.state_dict())
    pixels = 33 if "imagenet" in name else 12
    x = torch.randn(3, 3, pixels, pixels, dtype=torch.float64, device=DEVICE)
    labels = torch.tensor([1, 2, 3], device=DEVICE)
    for net in (plain, fused):
        for _ in range(2):  # running statistics move twice
            net.zero_grad()
            F.cross_entropy(net(x), labels).backward()
    largest = max(float(p.grad.norm()) for p in plain.parameters())  # type: ignore[union-attr]
    for (key, a), b in zip(fused.named_parameters(), plain.parameters(), strict=True):
        assert relative(a.grad, b.grad, largest) < 1e-10, key  # type: ignore[arg-type]
    for (key, a), b in zip(fused.named_buffers(), plain.buffers(), strict=True):
        if "tracked" not in key:
            assert relative(a, b, float(b.norm())) < 1e-10, key
    with torch.no_grad():
        expected = plain.eval()(x)
        assert relative(fused.eval()(x), expected, float(expected.norm())) < 1e-10


SMOKE = ["preset=smoke", "device=cpu", "threads=1", "precision=fp32", "recipe.batch=16"]
ROWS = {
    "original": ["he2015_residual/table6/resnet20", "model.depth=8"],
    "full_preact": ["he2016_identity/table2/full_preact_110", "model.depth=8"],
    "dense": ["huang2017_dense/table2/densenet_40_12", "model.depth=7", "model.growth=4"],
}


@pytest.mark.parametrize("name", slow(ROWS, {"original", "full_preact"}))
def test_a_trainer_of_either_engine_learns_the_same(
    name: str,
    settings_of: Callable[..., Settings],
    digits: ImageSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row, *changes = ROWS[name]
    settings = settings_of(f"experiment={row}", *SMOKE, *changes)
    losses: dict[str, list[float]] = {"eager": [], "fused": []}
    for engine, found in losses.items():
        monkeypatch.setattr(
            "training.engines.engine.choose_engine", lambda *_, chosen=engine, **__: (chosen, None)
        )
        trainer = Trainer(settings, digits, DEVICE)
        trainer.begin_segment()
        for _ in range(3):
            trainer.train_iteration()
            found.append(trainer.metrics.take()[0])
    np.testing.assert_allclose(losses["fused"], losses["eager"], rtol=2e-3)


@pytest.mark.parametrize(
    "name", slow(["original", "full_preact", "dense", "dense_bc"], {"original", "dense_bc"})
)
def test_a_step_leaves_no_maps_behind(name: str) -> None:
    """Nothing but the collector of cycles could free them: hundreds of MB a step."""
    torch.manual_seed(0)
    model = fuse(NETWORKS[name][0]().to(DEVICE).to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    x, alive, held = torch.randn(2, 3, 8, 8, device=DEVICE), list[int](), list[weakref.ref]()
    gc.collect()
    gc.disable()
    try:
        for _ in range(2):
            with torch.autograd.graph.saved_tensors_hooks(
                lambda t: held.append(weakref.ref(t)) or t, lambda t: t
            ):
                model(x).sum().backward()
            model.zero_grad()
            weights = {id(p) for p in model.parameters()} | {id(x)}
            left = [t for ref in held if (t := ref()) is not None and id(t) not in weights]
            maps = [o for o in gc.get_objects() if type(o).__name__ == "DenseMaps"]
            alive.append(len(left) + len(maps))
    finally:
        gc.enable()
    assert alive == [0, 0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="counts launches of the interpreter")
@pytest.mark.parametrize("name", ["original", "plain", "full_preact", "bottleneck"])
def test_a_step_launches_what_the_roofline_counts(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of our kernels: those of the normalisations; the roofline's others are the library's."""
    from triton.runtime.interpreter import GridExecutor

    plain = NETWORKS[name][0]()
    norms = sum(isinstance(layer, nn.BatchNorm2d) for layer in plain.modules())
    model, launched, call = fuse(plain), list[str](), GridExecutor.__call__

    def counted(self: Any, *given: Any, **more: Any) -> None:
        launched.append(self.fn.__name__)
        call(self, *given, **more)

    monkeypatch.setattr(GridExecutor, "__call__", counted)
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    assert len(launched) == len(NORM_PASSES) * norms
