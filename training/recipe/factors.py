"""A recipe's factors on the learning rate and weight decay of each parameter."""

from typing import NamedTuple

from torch import nn

from training.settings.recipe import Recipe

HEADS = "heads."


class Factors(NamedTuple):
    """Factors on a parameter's learning rate and weight decay, and whether it belongs to a head,
    whose learning rate has its own schedule."""

    lr: float
    decay: float
    head: bool = False


def factors_of(model: nn.Module, recipe: Recipe) -> dict[str, Factors]:
    """Factors of every trainable parameter, by name.

    `bias_lr` applies to biases of convolutions and linear layers, `conv_lr` to convolutions outside
    the network's `heads` (the code of Romero et al. 2015 has no such factor for the regressor). The
    last layer is the last of these layers outside the heads.
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
        if layer in convolutions and not name.startswith(HEADS):
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
