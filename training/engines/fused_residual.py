"""Fused kernels in place of plain layers: `fuse` exchanges them inside a network.

The network keeps its weights under their names, its numbers (up to rounding) and its gradients.
Narrow convolutions get kernels of ours (`training.engines.kernels.conv_layer`). Every BN-ReLU
becomes one operation, everywhere. Units of the two common kinds, x + F(x) with the
original order and with full pre-activation, also take their addition into it. Such units hand
each other a pair of tensors instead of one:

    original       (y, y): the same maps for the branch and for the shortcut; the kernel that made
                   them adds up their gradients
    full_preact    (x, fx): the shortcut and the branch, not yet added; the kernel that normalises
                   their sum next adds them

The maps of a dense block lie in one buffer (`training.engines.fused_dense`).
"""

from typing import Any

from torch import Tensor, nn

from models.densenet import DenseNet
from models.residual import ResidualUnit
from models.resnet import ResNet
from models.shortcuts import Identity, NoShortcut
from training.engines.fused_dense import fuse_blocks
from training.engines.kernels.conv_layer import Conv, is_narrow
from training.engines.kernels.norm_act import NormAct

Pair = Tensor | tuple[Tensor, Tensor]


class PostUnit(nn.Module):
    """A unit of the original order: relu(match(x) + normalised(F(x))) in one operation."""

    def __init__(self, unit: ResidualUnit):
        super().__init__()
        self.branch: Any = unit.branch
        self.shortcut: Any = unit.shortcut
        self.last = False

    def forward(self, x: Pair) -> Pair:
        x, shortcut = x if isinstance(x, tuple) else (x, x)
        *layers, norm = self.branch.children()
        for layer in layers:
            x = layer(x)
        if isinstance(self.shortcut, NoShortcut):
            return norm(x)
        return norm(x, after=self.shortcut.match(shortcut), twice=not self.last)


class PreUnit(nn.Module):
    """A unit of full pre-activation; the addition is left to the next normalisation."""

    def __init__(self, unit: ResidualUnit):
        super().__init__()
        self.shared, self.branch = unit.shared, unit.branch
        self.shortcut: Any = unit.shortcut

    def forward(self, x: Pair) -> tuple[Tensor, Tensor]:
        layers = list(self.branch.children())
        if len(self.shared):
            y, x = activated(self.shared[0], x, twice=True)[:2]
        elif isinstance(layers[0], NormAct):
            y, x = activated(layers.pop(0), x)
        else:
            assert isinstance(x, Tensor), "the first unit follows the stem"
            y = x
        for layer in layers:
            y = layer(y)
        return self.shortcut.match(x), y


class LastActivation(nn.Module):
    """The activation behind the last unit of full pre-activation."""

    def __init__(self, activation: nn.Sequential):
        super().__init__()
        self.norm1: Any = activation.norm1

    def forward(self, x: Pair) -> Tensor:
        return activated(self.norm1, x)[0]


def activated(norm: Any, x: Pair, *, twice: bool = False) -> Any:
    """What a normalisation makes of a sum: the activated maps (twice if asked), and the sum."""
    if isinstance(x, tuple):
        return norm(x[0], before=x[1], twice=twice)
    outputs = norm(x, twice=twice)
    return (*outputs, x) if twice else (outputs, x)


def fuse(model: nn.Module) -> nn.Module:
    """Exchange the layers of a network, in place, for fused ones where there are any."""
    for module in list(model.modules()):
        for name, layer in module.named_children():
            if is_narrow(layer):
                module._modules[name] = Conv(layer)  # type: ignore[arg-type]
        if isinstance(module, nn.Sequential):
            fuse_pairs(module)
    if isinstance(model, ResNet):
        fuse_units(model)
    elif isinstance(model, DenseNet):
        fuse_blocks(model)
    return model


def fuse_pairs(layers: nn.Sequential) -> None:
    """Let every normalisation do the ReLU behind it, and leave nothing in the ReLU's place; one
    without scale and shift stays as it is."""
    previous = None
    for name, layer in list(layers.named_children()):
        if type(layer) is nn.BatchNorm2d and layer.affine:
            layers._modules[name] = previous = NormAct(layer, relu=False)
        elif isinstance(layer, nn.ReLU) and previous is not None:
            previous.relu = True
            layers._modules[name] = nn.Identity()
            previous = None
        else:
            previous = None


def fuse_units(model: ResNet) -> None:
    """Let units take their additions into a normalisation, if all of them can."""
    stages: Any = model.stages
    units = [unit for stage in stages for unit in stage]
    kinds = {kind_of(unit) for unit in units}
    if kinds == {"original"}:
        fused: list[Any] = [PostUnit(unit) for unit in units]
        for unit in fused:  # its layers that are left: the normalisation now has the last ReLU
            list(unit.branch.children())[-1].relu = True
        fused[-1].last = True
    elif kinds == {"full_preact"}:
        fused = [PreUnit(unit) for unit in units]
        model.activation = LastActivation(model.activation)  # type: ignore[assignment]
    else:
        return
    made = iter(fused)
    for stage in stages:
        for number in range(len(stage)):
            stage[number] = next(made)


def kind_of(unit: ResidualUnit) -> str | None:
    """Which fused unit can stand for this one: `original`, `full_preact` or none."""
    if type(unit.shortcut) not in (Identity, NoShortcut):
        return None
    if not isinstance(unit.branch, nn.Sequential):
        return None  # stochastic depth comes between the branch and the addition
    last = list(unit.branch.children())[-1]
    if isinstance(last, NormAct) and [type(layer) for layer in unit.after] == [nn.ReLU]:
        return "original"
    if isinstance(last, nn.Conv2d) and not len(unit.after) and isinstance(unit.shortcut, Identity):
        return "full_preact"
    return None
