"""Fused kernels in place of plain layers: `fuse` replaces them inside a network.

The network keeps the names of its weights, its outputs (up to rounding) and its gradients. Narrow
convolutions use our kernels (`training.engines.kernels.conv_layer`). Every BN-ReLU becomes one
operation. In the two common kinds of units, x + F(x) with the original order and with full
pre-activation, this operation also does the addition. These units pass on a pair of tensors:

    original       (y, y): the same feature maps for branch and shortcut; the kernel that made them
                   adds up their gradients
    full_preact    (x, fx): shortcut and branch, not yet added; the next kernel, which normalises
                   their sum, adds them

The feature maps of a dense block are kept in one buffer (`training.engines.fused_dense`).
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
    """A unit of the original order, with relu(match(x) + normalised F(x)) as one operation."""

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
    """A unit of full pre-activation; its addition is left to the next normalisation."""

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
    """The activation after the last unit of full pre-activation."""

    def __init__(self, activation: nn.Sequential):
        super().__init__()
        self.norm1: Any = activation.norm1

    def forward(self, x: Pair) -> Tensor:
        return activated(self.norm1, x)[0]


def activated(norm: Any, x: Pair, *, twice: bool = False) -> Any:
    """Apply a normalisation to a sum; return the activated maps (twice if `twice`) and the sum."""
    if isinstance(x, tuple):
        return norm(x[0], before=x[1], twice=twice)
    outputs = norm(x, twice=twice)
    return (*outputs, x) if twice else (outputs, x)


def fuse(model: nn.Module) -> nn.Module:
    """Replace the layers of a network by fused ones where possible, in place."""
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
    """Merge every normalisation with the ReLU after it, which becomes an `nn.Identity`; a
    normalisation without scale and shift stays as it is."""
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
    """Replace units by ones that merge their addition into a normalisation, if all units can."""
    stages: Any = model.stages
    units = [unit for stage in stages for unit in stage]
    kinds = {kind_of(unit) for unit in units}
    if kinds == {"original"}:
        fused: list[Any] = [PostUnit(unit) for unit in units]
        for unit in fused:  # the branch's last normalisation takes over the ReLU after the addition
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
    """Kind of fused unit that can replace this one: `original`, `full_preact` or None."""
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
