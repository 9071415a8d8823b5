"""Random values drawn on the host for every iteration and copied to the device ahead of time:
stochastic depth as gates, drop-path as weights. Thus a step is the same whatever it drops."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from data.order import derived_seed
from models.fractalnet import DropPath
from models.stochastic_depth import StochasticDepth
from training.recipe.step import Hook


class Drawn(Hook, ABC):
    """A tensor with new random values in every iteration, a pure function of seed and iteration,
    always at the same address.

    Attributes:
        current: the values of this iteration.
        position: the row of the table that comes next.

    Args:
        current: the tensor, on the device.
        longest: maximum number of iterations drawn at once.
    """

    def __init__(self, current: Tensor, *, seed: int, longest: int):
        self.current, self.seed = current, seed
        self.table = current.new_ones(longest, *current.shape)
        self.position = torch.zeros(1, dtype=torch.int64, device=current.device)

    @abstractmethod
    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw the values of an iteration, on the CPU."""

    def begin(self, first: int, last: int) -> None:
        """Draw the values of iterations `first` to `last` - 1, and start at `first`."""
        generator = torch.Generator()
        rows = [
            self.draw(generator.manual_seed(derived_seed(self.seed, iteration)))
            for iteration in range(first, last)
        ]
        self.table[: len(rows)].copy_(torch.stack(rows))
        self.position.zero_()

    def before_forward(self) -> None:
        """Set `current` to the values of the next iteration."""
        self.current.copy_(self.table.index_select(0, self.position)[0])
        self.position += 1


class GatedDepth(nn.Module):
    """A branch that is always computed and multiplied by 1 or 0 (see `StochasticDepth`)."""

    def __init__(self, depth: StochasticDepth, gate: Tensor):
        super().__init__()
        self.branch, self.survival = depth.branch, depth.survival
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        return (self.gate if self.training else self.survival) * self.branch(x)


class Gates(Drawn):
    """The stochastic-depth gates of a network, with the same survival probabilities.

    Replaces the network's `StochasticDepth` layers in place. A closed branch gets a gradient of 0
    from the multiplication; its normalisation statistics are restored after each step.

    Args:
        longest: maximum number of iterations drawn at once.
    """

    def __init__(self, model: nn.Module, *, seed: int, longest: int):
        places = [
            (parent, name, child)
            for parent in model.modules()
            for name, child in parent.named_children()
            if isinstance(child, StochasticDepth)
        ]
        self.survival = torch.tensor([depth.survival for _, _, depth in places])
        device = next(model.parameters()).device
        super().__init__(torch.ones(len(places), device=device), seed=seed, longest=longest)
        owners = []
        for number, (parent, name, depth) in enumerate(places):
            setattr(parent, name, GatedDepth(depth, self.current[number]))
            owners += [
                (layer, key, number)
                for layer in depth.modules()
                for key, buffer in layer.named_buffers(recurse=False)
                if buffer.is_floating_point()
            ]
        buffers = [getattr(layer, key) for layer, key, _ in owners]
        self.statistics = torch.cat(buffers)
        for (layer, key, _), piece in zip(
            owners, self.statistics.split([len(b) for b in buffers]), strict=True
        ):
            setattr(layer, key, piece)
        lengths = torch.tensor([len(b) for b in buffers])
        numbers = torch.tensor([number for _, _, number in owners])
        self.owner = numbers.repeat_interleave(lengths).to(device)
        self.before = self.statistics.clone()

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw which branches are open, (branches,)."""
        return torch.rand(len(self.survival), generator=generator) < self.survival

    def before_forward(self) -> None:
        super().before_forward()
        self.before.copy_(self.statistics)

    def after_backward(self) -> None:
        """Restore the statistics of closed branches."""
        moved = self.current[self.owner] > 0
        self.statistics.copy_(torch.where(moved, self.statistics, self.before))


class GivenPaths(nn.Module):
    """Weights of a network's joins that were drawn elsewhere (in place of `DropPath`)."""

    def __init__(self, weights: Tensor):
        super().__init__()
        self.weights = weights

    def forward(self) -> Tensor | None:
        return self.weights if self.training else None


class Paths(Drawn):
    """The weights of a network's joins, drawn for every iteration as `DropPath` draws them, but
    from a separate generator, so that all processes of a run draw the same.

    Replaces the network's `DropPath` in place. Dropped columns are computed, as in the authors'
    layers: their statistics are updated, and their gradient is 0.
    """

    def __init__(self, model: nn.Module, *, seed: int, longest: int):
        (place,) = (name for name, layer in model.named_children() if isinstance(layer, DropPath))
        self.paths: DropPath = getattr(model, place)
        device = next(model.parameters()).device
        current = torch.ones(self.paths.takes.shape, device=device)
        super().__init__(current, seed=seed, longest=longest)
        setattr(model, place, GivenPaths(self.current))

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw the weights of an iteration, (joins, columns)."""
        return self.paths.draw(generator)
