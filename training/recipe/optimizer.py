"""SGD and RMSProp on flat storage: one update and one cast for all parameters."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from training.recipe.factors import computing
from training.recipe.layout import Layout, layout_of
from training.settings.recipe import Recipe

LEAST_ROOT = 1e-5  # lower bound of RMSProp's divisor: 1 / max_scaling of pylearn2


class FlatOptimizer:
    """SGD with momentum and weight decay, or RMSProp, on all parameters of a network at once.

    The parameters move into one float32 tensor, the master copy, in the order of
    `training.recipe.layout`; gradients and momentum have tensors of the same layout. With `half`,
    convolutions and linear layers compute with a bfloat16 copy that is refreshed at every update.
    `torch.optim.SGD` does the arithmetic.

    `decay: weights` decays the weights of convolutions and linear layers (all tensors of two or
    more dimensions); `decay: all` also decays normalisation and biases.

    With `captured`, the learning rate is a tensor on the device that a captured step reads each
    time; so is a momentum that changes within a run. A recipe's `max_norms` bound the norm of the
    weights of each output of a convolution or linear layer, layer by layer, after each update.

    With `rule: rmsprop` (Tieleman and Hinton 2012), gradients are instead divided by the root of
    their running mean square, which is stored in place of the momentum; `momentum` is its decay
    rate. `epsilon` is added to the mean square; `step_momentum` is the momentum of the steps, which
    include the learning rate; both as in TensorFlow.

    Attributes:
        master, gradient, momentum: each parameter's float32 tensor, by name.
        velocity: momentum of RMSProp's steps, in the same form; empty without `step_momentum`.
    """

    def __init__(
        self, model: nn.Module, recipe: Recipe, *, half: bool = False, captured: bool = False
    ):
        self.model = model
        layout, device = layout_of(model, recipe, half=half), next(model.parameters()).device
        flat = [
            torch.zeros(layout.size, device=device) for _ in range(3 + bool(recipe.step_momentum))
        ]
        self.weights, self.gradients, self.momenta, *self.velocities = flat
        parameters = dict(model.named_parameters())
        self.master, self.gradient, self.momentum, *velocity = (
            {name: _view(tensor[at], parameters[name]) for name, at in layout.places.items()}
            for tensor in flat
        )
        self.velocity = velocity[0] if velocity else {}
        self.parameters = [parameters[name] for name in layout.places]
        self.halved = self.weights[layout.half]
        self.half = self.halved.bfloat16()
        for name, place in layout.places.items():
            working = self.master[name]
            working.copy_(parameters[name].detach())
            if layout.half.start <= place.start < layout.half.stop:
                at = slice(place.start - layout.half.start, place.stop - layout.half.start)
                working = _view(self.half[at], working)
            parameters[name].data = working
        self.renew_half()
        self.sgd, self.lr = self._make_sgd(recipe, layout, captured), (recipe.lr, 1.0)
        self.recipe = recipe
        moves = recipe.momentum_moves
        self.moving = torch.tensor(recipe.momentum, device=device) if moves else None
        names = [name for name in computing(model) if parameters[name].ndim > 1]
        norms = zip(names, recipe.max_norms, strict=True) if recipe.max_norms else ()
        self.limits = [(self.master[name], norm) for name, norm in norms]

    def _make_sgd(self, recipe: Recipe, layout: Layout, captured: bool) -> torch.optim.SGD:
        groups = []
        for factors, place in layout.groups:
            parameter = nn.Parameter(self.weights[place])
            parameter.grad = self.gradients[place]
            rates = {
                "lr": recipe.lr * factors.lr,
                "weight_decay": recipe.weight_decay * factors.decay,
            }
            kind = {"piece": place, "factor": factors.lr, "head": factors.head}
            groups.append({"params": [parameter], **kind, **rates})
        sgd = torch.optim.SGD(
            groups,
            lr=recipe.lr,
            momentum=1.0 if recipe.momentum_moves else recipe.momentum,  # see `update`
            nesterov=recipe.nesterov,
            fused=captured or self.weights.is_cuda,
        )
        for group in sgd.param_groups:
            if captured:
                group["lr"] = torch.tensor(group["lr"], device=self.weights.device)
            # A zero momentum buffer gives the same first update as none.
            sgd.state[group["params"][0]]["momentum_buffer"] = self.momenta[group["piece"]]
        return sgd

    def update(self, combine: Callable[[Tensor], None] | None = None) -> None:
        """Do one update with the parameters' gradients, and clear them.

        `combine` first gets all gradients as one tensor, which it may change in place.

        A parameter without a gradient took no part in the step: its gradient counts as 0, so that
        it still decays and follows its momentum, as in the code of Huang et al. 2016, which keeps
        all weights in one vector.
        """
        kinds: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
        missing = False
        for place, parameter in zip(self.gradient.values(), self.parameters, strict=True):
            if parameter.grad is None:
                missing = True
                continue
            places, given = kinds.setdefault(parameter.grad.dtype, ([], []))
            places.append(place)
            given.append(parameter.grad)
            parameter.grad = None
        if missing:
            self.gradients.zero_()
        for places, given in kinds.values():  # grouped by dtype, they are copied by few kernels
            torch._foreach_copy_(places, given)
        if combine is not None:
            combine(self.gradients)
        if self.moving is not None:  # torch.optim.SGD takes no tensor: its own momentum is 1
            self.momenta.mul_(self.moving)
        self.step()
        for weight, norm in self.limits:
            weight.renorm_(2, 0, norm)
        self.renew_half()

    @torch.no_grad()
    def step(self) -> None:
        """Update the weights from the flat gradients."""
        if self.recipe.rule == "rmsprop":
            self.rmsprop_step()
        else:
            self.sgd.step()

    def rmsprop_step(self) -> None:
        """Divide the gradients by the root of their mean square (see the class)."""
        kept = self.recipe.momentum
        for group in self.sgd.param_groups:
            piece = group["piece"]
            gradient = self.gradients[piece].add(self.weights[piece], alpha=group["weight_decay"])
            squares = self.momenta[piece]
            squares.mul_(kept).addcmul_(gradient, gradient, value=1 - kept)
            roots = squares.add(self.recipe.epsilon).sqrt_().clamp_(min=LEAST_ROOT)
            step = group["lr"] * gradient / roots
            for velocities in self.velocities:
                step = velocities[piece].mul_(self.recipe.step_momentum).add_(step)
            self.weights[piece].sub_(step)

    def set_learning_rate(self, lr: float, heads: float = 1.0) -> None:
        """Set the learning rate, in place if it is a tensor; heads get `heads` times the rate."""
        if (lr, heads) == self.lr:
            return  # saves kernels on a GPU
        self.lr = lr, heads
        for group in self.sgd.param_groups:
            rate = lr * group["factor"] * (heads if group["head"] else 1)
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def set_momentum(self, momentum: float) -> None:
        """Set the momentum in place; only for recipes in which it changes."""
        assert self.moving is not None
        self.moving.fill_(momentum)

    def clear_momentum(self) -> None:
        """Reset everything but the weights: momentum, mean squares and velocity."""
        for tensor in (self.momenta, *self.velocities):
            tensor.zero_()

    def state(self) -> dict[str, dict[str, Tensor]]:
        """The tensors themselves, by parameter name: `model` (the network's state in float32),
        `momentum` and, if there is one, `velocity`. Call `renew_half` after changing them."""
        kept = {"model": {**self.model.state_dict(), **self.master}, "momentum": self.momentum}
        return kept | ({"velocity": self.velocity} if self.velocity else {})

    def tensors(self) -> list[Tensor]:
        """Every tensor of the network and the optimizer that a training step changes."""
        return [self.weights, self.half, self.momenta, *self.velocities, *self.model.buffers()]

    def renew_half(self) -> None:
        """Refresh the bfloat16 copy of the weights."""
        self.half.copy_(self.halved)


def _view(piece: Tensor, like: Tensor) -> Tensor:
    """View the beginning of flat storage as a parameter, channels last if it has four
    dimensions."""
    piece = piece[: like.numel()]
    if like.ndim != 4:
        return piece.view(like.shape)
    out, into, height, width = like.shape
    return piece.view(out, height, width, into).permute(0, 3, 1, 2)
