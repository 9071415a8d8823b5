"""How signals travel through residual units: He et al. 2016, Section 2."""

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.theory.networks import units


def gradients(model: nn.Module, images: Tensor, labels: Tensor) -> list[float]:
    """The norm of the loss's gradient at the input of every unit, and at the end of the last.

    He et al. 2016, eq. 5: with identity shortcuts it is that of the end times (1 + something), with
    a factor on every shortcut (eq. 8) also times the product of the factors behind.
    """
    model = deepcopy(model).train()  # which moves its running statistics
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
    """How far the end of the last stage is from x_l plus all branches behind, by unit l.

    He et al. 2016, eq. 4: x_L = x_l + the sum of F(x_i), so 0 with identity shortcuts and nothing
    behind the addition. As the norm of the difference over that of x_L; from the stage's second
    unit on, for the first one changes the size of the maps.
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
    """The share of a unit's sums x + F(x) that the ReLU behind the addition sets to 0, normalised
    by the batch at hand, for a network that has not been trained knows no other statistics.

    He et al. 2016, Section 4.2: the original unit cuts off a signal that is negative, which they
    observe of ResNet-164 to become rarer with training, and to stay frequent with 1001 layers.
    """
    model = deepcopy(model).train()
    shares: list[float] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        shares.append(float((inputs[0] < 0).float().mean()))

    for unit in units(model):
        unit.after.register_forward_pre_hook(note)
    model(images)
    return shares
