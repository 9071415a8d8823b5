"""How signals travel through residual units: He et al. 2016, Section 2."""

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.theory.networks import units


def gradients(model: nn.Module, images: Tensor, labels: Tensor) -> list[float]:
    """The norm of the loss's gradient at the input of every unit, and at the output of the last.

    He et al. 2016, eq. 5: with identity shortcuts it is the gradient at the end times
    (1 + something); with a factor on every shortcut (eq. 8), the 1 becomes the product of the
    factors from that unit on.
    """
    model = deepcopy(model).train()  # a copy, because this moves the running statistics
    kept: list[Tensor] = []

    def keep(unit: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        inputs[0].retain_grad()
        kept.append(inputs[0])

    def keep_output(unit: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    chain = list(units(model))
    for unit in chain:
        unit.register_forward_pre_hook(keep)
    chain[-1].register_forward_hook(keep_output)
    F.cross_entropy(model(images), labels).backward()
    return [float(x.grad.norm()) if x.grad is not None else 0.0 for x in kept]


@torch.no_grad()
def sums_left(model: nn.Module, images: Tensor) -> list[float]:
    """How far the output of the last stage is from x_l plus all branches from unit l on, by unit.

    He et al. 2016, eq. 4: x_L = x_l + the sum of F(x_i), so 0 with identity shortcuts and nothing
    after the addition. Given as the norm of the difference over that of x_L, from the stage's
    second unit on, since the first changes the size of the maps.
    """
    model = deepcopy(model).eval()
    stage = list(model.stages)[-1]  # type: ignore[arg-type]
    inputs: list[Tensor] = []
    branches: list[Tensor] = []
    ends: list[Tensor] = []
    for unit in list(stage)[1:]:
        unit.register_forward_pre_hook(lambda _, x: inputs.append(x[0]))
        unit.branch.register_forward_hook(lambda _, x, y: branches.append(y))
    stage.register_forward_hook(lambda _, x, y: ends.append(y))
    model(images)
    end = ends[0]
    return [
        float((x + sum(branches[number:]) - end).norm() / end.norm())
        for number, x in enumerate(inputs)
    ]


@torch.no_grad()
def truncated(model: nn.Module, images: Tensor) -> list[float]:
    """The share of each unit's sums x + F(x) that the ReLU after the addition sets to 0.

    Normalised by batch statistics, as an untrained network has no others. He et al. 2016, Section
    4.2: the original unit truncates negative signals, which they observe to become rarer as
    ResNet-164 trains, and to stay frequent with 1001 layers.
    """
    model = deepcopy(model).train()
    shares: list[float] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        shares.append(float((inputs[0] < 0).float().mean()))

    for unit in units(model):
        unit.after.register_forward_pre_hook(note)
    model(images)
    return shares
