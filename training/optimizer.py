"""Stochastic gradient descent with the weight decay scope of each recipe."""

import torch
from torch import nn

from training.settings import Recipe


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict]:
    """Two groups: parameters that decay, and those that do not.

    `decay: weights` decays the weights of convolutions and linear layers (all tensors of two or
    more dimensions); `decay: all` decays normalisation and biases too.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in parameters if recipe.decay == "all" or p.ndim > 1]
    kept = [p for p in parameters if recipe.decay != "all" and p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """SGD for a recipe; on a GPU fused, with the learning rate on the device, so that a captured
    step reads it there."""
    device = next(model.parameters()).device
    cuda = device.type == "cuda"
    lr = torch.tensor(recipe.lr, device=device) if cuda else recipe.lr
    return torch.optim.SGD(
        parameter_groups(model, recipe),
        lr=lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        fused=cuda,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group, in place where it lives on a device."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr
