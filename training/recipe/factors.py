"""What a recipe multiplies the learning rate and the weight decay of each parameter by."""

from typing import NamedTuple

from torch import nn

from training.settings.recipe import Recipe

HEADS = "heads."


class Factors(NamedTuple):
    """What a parameter's learning rate and weight decay are multiplied by, and whether it is one of
    a head's, whose rate has a schedule of its own."""

    lr: float
    decay: float
    head: bool = False


def factors_of(model: nn.Module, recipe: Recipe) -> dict[str, Factors]:
    """The factors of every parameter that is trained, by name.

    Biases are those of convolutions and linear layers; the last layer is the last of these, heads
    apart, which are what lies in the network's `heads`.
    """
    named = computing(model)
    last = next((n for n in reversed(named) if not n.startswith(HEADS)), "").rpartition(".")[0]
    convolutions = [n for n, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    factors = {}
    for name, parameter in model.named_parameters():
        weight = parameter.ndim > 1
        lr = recipe.bias_lr if name in named and not weight else 1.0
        decay = 1.0 if weight or recipe.decay == "all" else 0.0
        layer = name.rpartition(".")[0]
        if layer == last:
            lr, decay = lr * recipe.last_lr, decay * recipe.last_decay
        if layer in convolutions:
            lr *= recipe.conv_lr
        if parameter.requires_grad:
            factors[name] = Factors(lr, decay, name.startswith(HEADS))
    return factors


def computing(model: nn.Module) -> list[str]:
    """Names of the parameters of convolutions and linear layers."""
    return [
        f"{name}.{local}" if name else local
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
        for local, _ in module.named_parameters(recurse=False)
    ]
