"""The flat optimizer against those of torch on the parameters themselves."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from training.recipe.optimizer import FlatOptimizer
from training.settings.recipe import Recipe
from training.settings.settings import Settings
from training.trainer import restore

RESNET20 = "experiment=he2015_residual/table6/resnet20"


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(20, 3)
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


@pytest.fixture
def recipe(settings_of: Callable[..., Settings]) -> Recipe:
    return settings_of(RESNET20).recipe


def reference(model: nn.Sequential, recipe: Recipe) -> torch.optim.SGD:
    """Decay as the paper and fb.resnet.torch have it, parameter by parameter."""
    conv, norm, _, linear = model
    weights, others = [conv.weight, linear.weight], [conv.bias, *norm.parameters(), linear.bias]
    decay = recipe.weight_decay if recipe.decay == "all" else 0.0
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": decay},
    ]
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov)


@pytest.mark.parametrize("decay", ["weights", "all"])
@pytest.mark.parametrize("nesterov", [False, True])
def test_updates_are_those_of_sgd_bit_by_bit(recipe: Recipe, decay: str, nesterov: bool) -> None:
    recipe = replace(recipe, decay=decay, nesterov=nesterov, weight_decay=0.01)
    plain = network()
    model = deepcopy(plain)
    flat, sgd = FlatOptimizer(model, recipe), reference(plain, recipe)
    for step in range(4):
        lr = 0.1 / (step + 1)
        flat.set_learning_rate(lr)
        for group in sgd.param_groups:
            group["lr"] = lr
        x, y = torch.randn(6, 3, 4, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        for net in (plain, model):
            net.zero_grad()
            F.cross_entropy(net(x), y).backward()
        sgd.step()
        flat.update()
        for (name, a), b in zip(model.named_parameters(), plain.parameters(), strict=True):
            assert torch.equal(a, b) and torch.equal(flat.gradient[name], b.grad), name  # type: ignore[arg-type]
            assert torch.equal(flat.momentum[name], sgd.state[b]["momentum_buffer"]), name


# Factors on the rate and the decay of each parameter, where biases have twice the rate, and the
# last layer has a tenth of the rate and ten times the decay.
OWN = {"bias_lr": 2.0, "last_lr": 0.1, "last_decay": 10.0}
FACTORS = {"0.weight": (1, 1), "0.bias": (2, 0), "1.weight": (1, 0), "1.bias": (1, 0),
           "3.weight": (0.1, 10), "3.bias": (0.2, 0)}  # fmt: skip


def grouped(plain: nn.Module) -> list[dict[str, Any]]:
    """A group for every parameter, at a rate of 0.1 and a decay of 0.01."""
    named = dict(plain.named_parameters())
    return [{"params": [named[name]], "lr": 0.1 * lr, "weight_decay": 0.01 * decay}
            for name, (lr, decay) in FACTORS.items()]  # fmt: skip


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("captured", [False, True])
def test_biases_and_the_last_layer_have_rates_and_decays_of_their_own(
    recipe: Recipe, half: bool, captured: bool
) -> None:
    """Against plain SGD with a group for every parameter."""
    recipe = replace(recipe, weight_decay=0.01, **OWN)
    plain = network()
    model = deepcopy(plain)
    flat = FlatOptimizer(model, recipe, half=half, captured=captured)
    sgd = torch.optim.SGD(grouped(plain), momentum=0.9)
    for step in range(4):
        lr = 0.1 / (step + 1)
        flat.set_learning_rate(lr)
        for group, (factor, _) in zip(sgd.param_groups, FACTORS.values(), strict=True):
            group["lr"] = lr * factor
        for (_, a), b in zip(model.named_parameters(), plain.parameters(), strict=True):
            b.grad = torch.randn_like(b).bfloat16().float()
            a.grad = b.grad.to(a.dtype)
        sgd.step()
        flat.update()
        for name, b in plain.named_parameters():
            torch.testing.assert_close(flat.master[name], b.detach(), msg=name)
            place = model.get_parameter(name)
            assert torch.equal(place, flat.master[name].to(place.dtype)), name


def follow(
    recipe: Recipe, plain: nn.Sequential, rates: Sequence[float], update: Callable[[float], object]
) -> None:
    """Compare the flat optimizer with an update of a plain network, given the same gradients."""
    model = deepcopy(plain)
    flat = FlatOptimizer(model, recipe)
    for rate in rates:
        flat.set_learning_rate(rate)
        for ours, parameter in zip(model.parameters(), plain.parameters(), strict=True):
            parameter.grad = torch.randn_like(parameter)
            ours.grad = parameter.grad.clone()
        update(rate)
        flat.update()
        for name, parameter in plain.named_parameters():
            found = flat.master[name]
            torch.testing.assert_close(found, parameter.detach(), rtol=1e-5, atol=1e-6, msg=name)


@pytest.fixture
def rmsprop(recipe: Recipe) -> Recipe:
    return replace(recipe, rule="rmsprop", nesterov=False, momentum=0.8, step_momentum=0.7,
                   weight_decay=0.01, decay="all")  # fmt: skip


def test_rmsprop_with_momentum_is_that_of_torch_while_the_rate_stays(rmsprop: Recipe) -> None:
    """Which multiplies the momentum by the rate, not the steps that it is of."""
    plain = network()
    reference = torch.optim.RMSprop(
        plain.parameters(), lr=0.1, alpha=0.8, momentum=0.7, eps=0, weight_decay=0.01
    )
    follow(rmsprop, plain, [0.1] * 5, lambda _: reference.step())


def test_rmsprop_has_the_rates_and_decays_of_each_parameter(rmsprop: Recipe) -> None:
    plain = network()
    reference = torch.optim.RMSprop(grouped(plain), alpha=0.8, momentum=0.7, eps=0)
    recipe = replace(rmsprop, decay="weights", **OWN)
    follow(recipe, plain, [0.1] * 5, lambda _: reference.step())


def test_clearing_leaves_nothing_but_the_weights(rmsprop: Recipe) -> None:
    model = network()
    flat = FlatOptimizer(model, rmsprop)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    flat.update()
    weights = flat.weights.clone()
    kept = [*flat.momentum.values(), *flat.velocity.values()]
    assert len(kept) == 12 and all(tensor.any() for tensor in kept)
    flat.clear_momentum()
    assert not any(tensor.any() for tensor in kept) and torch.equal(flat.weights, weights)


def test_rmsprop_has_its_epsilon_and_its_rate_where_tensorflow_has_them(rmsprop: Recipe) -> None:
    """squares = 0.8 squares + 0.2 g^2; step = 0.7 step + rate g / sqrt(squares + 1)"""
    plain = network()
    squares = [np.zeros(p.shape) for p in plain.parameters()]
    steps = [np.zeros(p.shape) for p in plain.parameters()]

    def update(rate: float) -> None:
        for place, parameter in enumerate(plain.parameters()):
            assert parameter.grad is not None
            g = (parameter.grad + 0.01 * parameter.detach()).double().numpy()
            squares[place] = 0.8 * squares[place] + 0.2 * g**2
            steps[place] = 0.7 * steps[place] + rate * g / np.sqrt(squares[place] + 1)
            parameter.data -= torch.from_numpy(steps[place])

    follow(replace(rmsprop, epsilon=1.0), plain, [0.1, 0.1, 0.05, 0.02], update)


def test_half_weights_are_rounded_master_weights(recipe: Recipe) -> None:
    model = network()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    flat = FlatOptimizer(model, recipe, half=True)
    kinds = {name: p.dtype for name, p in model.named_parameters()}
    half = {"0.weight", "0.bias", "3.weight", "3.bias"}
    assert {name for name, kind in kinds.items() if kind == torch.bfloat16} == half
    # Updates far below bfloat16's resolution add up in the master copy.
    for _ in range(1000):
        for p in model.parameters():
            p.grad = torch.full_like(p, 1e-4)
        flat.update()
    for name, p in model.named_parameters():
        assert torch.equal(p, flat.master[name].to(p.dtype))
        moved = before[name] - flat.master[name]
        assert float(moved.min()) > 0.05, name


def test_what_has_no_gradient_still_decays(recipe: Recipe) -> None:
    model = network()
    flat = FlatOptimizer(model, replace(recipe, weight_decay=0.5, lr=0.1, momentum=0.9))
    before = model[0].weight.detach().clone()
    model[3].weight.grad = torch.ones_like(model[3].weight)
    flat.update()
    torch.testing.assert_close(model[0].weight.detach(), before * 0.95)
    assert not flat.gradient["0.weight"].any() and flat.gradient["3.weight"].all()


def test_weights_statistics_and_momentum_are_taken_over_by_name(recipe: Recipe) -> None:
    one, other = network(), network()
    first, second = FlatOptimizer(one, recipe), FlatOptimizer(other, recipe, half=True)
    for p in one.parameters():
        p.grad = torch.randn_like(p)
    first.update()
    one(torch.randn(4, 3, 4, 4))  # which moves the statistics
    restore(second.state(), first.state())
    second.renew_half()
    for name, buffer in other.named_buffers():
        assert torch.equal(buffer, one.get_buffer(name)), name
    for name, tensor in first.master.items():
        assert torch.equal(second.master[name], tensor)
        assert torch.equal(second.momentum[name], first.momentum[name])
    assert torch.equal(other[0].weight, one[0].weight.bfloat16())
    with pytest.raises(KeyError):
        restore(second.state(), {**first.state(), "model": {}})
