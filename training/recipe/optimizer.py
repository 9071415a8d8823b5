"""Stochastic gradient descent over flat storage: one update, and one cast, for all parameters."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from training.recipe.factors import Factors, computing, factors_of
from training.settings.recipe import Recipe

# Parameters begin at multiples of this many elements, so that every one is aligned.
ALIGNMENT = 64
LEAST_ROOT = 1e-5  # what RMSProp divides by, at least: 1 / max_scaling of pylearn2


class FlatSGD:
    """SGD with momentum and weight decay on all parameters of a network at once.

    The parameters move into one float32 tensor, the master copy; gradients and momentum have
    tensors of the same layout. With `half`, convolutions and linear layers compute with a bfloat16
    copy that every update renews. Their order is

        decayed | decayed, half | kept, half | kept

    so that what decays, and what is cast, each is one piece. `torch.optim.SGD` does the arithmetic.
    Where a recipe has rates or decays of their own for biases, convolutions, heads or the last
    layer, there are more groups than these two; what is cast is one piece still.

    `decay: weights` decays the weights of convolutions and linear layers (all tensors of two or
    more dimensions); `decay: all` decays normalisation and biases too.

    With `captured` the learning rate is a tensor on the device, which a captured step reads anew;
    so is a momentum that changes within a run. A recipe's `max_norms` bound the weights of every
    output of a convolution or linear layer, layer by layer, after each update.

    With `rule: rmsprop` (Tieleman and Hinton 2012) gradients are divided by the root of their mean
    square instead, which has momentum's place, and over which `momentum` averages. `epsilon` is
    added to the mean square, and `step_momentum` is that of the steps, the rate in them, both as
    TensorFlow has it.

    Attributes:
        master, gradient, momentum: each parameter's float32 tensor, by name.
        velocity: the same of RMSProp's steps, where these have momentum.
    """

    def __init__(
        self, model: nn.Module, recipe: Recipe, *, half: bool = False, captured: bool = False
    ):
        self.model = model
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        halved = set(computing(model)) if half else set()
        factors = factors_of(model, recipe)
        groups = sorted(set(factors.values()), key=lambda group: (-group.decay, *group))
        kinds = {name: (factors[name], name in halved) for name in named}
        pieces = [
            (groups[0], False),
            *((g, True) for g in groups),
            *((g, False) for g in groups[1:]),
        ]
        order = [n for piece in pieces for n, kind in kinds.items() if kind == piece]
        sizes = [_aligned(named[name].numel()) for name in order]
        ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
        first = {name: end - size for name, end, size in zip(order, ends, sizes, strict=True)}
        device = next(model.parameters()).device
        flat = [
            torch.zeros(sum(sizes), device=device) for _ in range(3 + bool(recipe.step_momentum))
        ]
        self.weights, self.gradients, self.momenta, *self.velocities = flat
        self.master, self.gradient, self.momentum, *velocity = (
            {name: _view(tensor, first[name], named[name]) for name in order} for tensor in flat
        )
        self.velocity = velocity[0] if velocity else {}
        self.parameters = [named[name] for name in order]
        cast = [place for place, name in enumerate(order) if name in halved]
        begin = ends[cast[0]] - sizes[cast[0]] if cast else 0
        self.halved = self.weights[begin : ends[cast[-1]] if cast else 0]
        self.half = self.halved.bfloat16()
        for name in order:
            self.master[name].copy_(named[name].detach())
            working = self.master[name]
            if name in halved:
                working = _view(self.half, first[name] - begin, named[name])
            named[name].data = working
        self.renew_half()
        borders: list[tuple[Factors, int]] = []  # pieces of one group each, and where they end
        for name, end in zip(order, ends, strict=True):
            if borders and borders[-1][0] == factors[name]:
                borders.pop()
            borders.append((factors[name], end))
        self.sgd, self.lr = self._make_sgd(recipe, borders, captured), (recipe.lr, 1.0)
        self.rule, self.decay = recipe.rule, recipe.momentum
        self.epsilon, self.step_momentum = recipe.epsilon, recipe.step_momentum
        moves = recipe.momentum_moves
        self.moving = torch.tensor(recipe.momentum, device=device) if moves else None
        names = [name for name in computing(model) if named[name].ndim > 1]
        norms = zip(names, recipe.max_norms, strict=True) if recipe.max_norms else ()
        self.limits = [(self.master[name], norm) for name, norm in norms]

    def _make_sgd(
        self, recipe: Recipe, borders: list[tuple[Factors, int]], captured: bool
    ) -> torch.optim.SGD:
        groups, begin = [], 0
        for factor, end in borders:
            piece = slice(begin, end)
            parameter = nn.Parameter(self.weights[piece])
            parameter.grad = self.gradients[piece]
            rates = {
                "lr": recipe.lr * factor.lr,
                "weight_decay": recipe.weight_decay * factor.decay,
            }
            kind = {"piece": piece, "factor": factor.lr, "head": factor.head}
            groups.append({"params": [parameter], **kind, **rates})
            begin = end
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
            # Momentum 0 before the first step gives the same first update as none.
            sgd.state[group["params"][0]]["momentum_buffer"] = self.momenta[group["piece"]]
        return sgd

    def update(self, combine: Callable[[Tensor], None] | None = None) -> None:
        """Do one update with the gradients that the parameters have, and take those away.

        `combine` is given all of them as one tensor first, to change it in place.

        What has none took no part in the step: its gradient is 0, and it still decays and keeps its
        momentum, as in the code of Huang et al. 2016, which holds all weights in one vector.
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
        for places, given in kinds.values():  # of one type each, they are copied by few kernels
            torch._foreach_copy_(places, given)
        if combine is not None:
            combine(self.gradients)
        if self.moving is not None:  # torch.optim.SGD takes no tensor, and so adds to what is left
            self.momenta.mul_(self.moving)
        self.step()
        for weight, norm in self.limits:
            weight.renorm_(2, 0, norm)
        self.renew_half()

    @torch.no_grad()
    def step(self) -> None:
        """Change the weights by the gradients."""
        if self.rule == "sgd":
            self.sgd.step()
            return
        for group in self.sgd.param_groups:
            piece = group["piece"]
            gradient = self.gradients[piece].add(self.weights[piece], alpha=group["weight_decay"])
            squares = self.momenta[piece]
            squares.mul_(self.decay).addcmul_(gradient, gradient, value=1 - self.decay)
            roots = squares.add(self.epsilon).sqrt_().clamp_(min=LEAST_ROOT)
            step = group["lr"] * gradient / roots
            for velocities in self.velocities:
                step = velocities[piece].mul_(self.step_momentum).add_(step)
            self.weights[piece].sub_(step)

    def set_learning_rate(self, lr: float, heads: float = 1.0) -> None:
        """Set the learning rate, in place where it lives on a device; that of heads is `heads`
        times as high."""
        if (lr, heads) == self.lr:
            return  # on a GPU, a kernel saved
        self.lr = lr, heads
        for group in self.sgd.param_groups:
            rate = lr * group["factor"] * (heads if group["head"] else 1)
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def set_momentum(self, momentum: float) -> None:
        """Set the momentum of a recipe in which it moves, in place."""
        assert self.moving is not None
        self.moving.fill_(momentum)

    def clear_momentum(self) -> None:
        """Begin anew, but for the weights."""
        for tensor in (self.momenta, *self.velocities):
            tensor.zero_()

    def state(self) -> dict[str, dict[str, Tensor]]:
        """`model`: the network's state in float32; `momentum`: that of every parameter, and
        `velocity`, where there is one; by name."""
        kept = {"model": {**self.model.state_dict(), **self.master}, "momentum": self.momentum}
        return kept | ({"velocity": self.velocity} if self.velocity else {})

    def load(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Go on from a state made by `state`, on whatever device and with whatever precision.

        Raises:
            KeyError, RuntimeError: it is another network's.
        """
        for name, buffer in self.model.named_buffers():
            buffer.copy_(state["model"][name])
        for name in self.master:
            self.master[name].copy_(state["model"][name])
            self.momentum[name].copy_(state["momentum"][name])
        for name, velocity in self.velocity.items():
            velocity.copy_(state["velocity"][name])
        self.renew_half()

    def tensors(self) -> list[Tensor]:
        """Every tensor that a training step changes of the network and here."""
        return [self.weights, self.half, self.momenta, *self.velocities, *self.model.buffers()]

    def renew_half(self) -> None:
        """Make the bfloat16 copy of the weights that compute."""
        self.half.copy_(self.halved)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _view(flat: Tensor, first: int, like: Tensor) -> Tensor:
    """A parameter's place in flat storage, channels last where it has four dimensions."""
    piece = flat[first : first + like.numel()]
    if like.ndim != 4:
        return piece.view(like.shape)
    out, into, height, width = like.shape
    return piece.view(out, height, width, into).permute(0, 3, 1, 2)
