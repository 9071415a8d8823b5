"""Stochastic depth as gates on the device: a step that is the same whatever blocks are open."""

import torch
from torch import Tensor, nn

from data.order import derived_seed
from models.stochastic_depth import StochasticDepth
from training.recipe.step import Hook


class GatedDepth(nn.Module):
    """A branch that is always computed, and multiplied by 1 or 0 (see `StochasticDepth`)."""

    def __init__(self, depth: StochasticDepth, gate: Tensor):
        super().__init__()
        self.branch, self.survival = depth.branch, depth.survival
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        return (self.gate if self.training else self.survival) * self.branch(x)


class Gates(Hook):
    """The gates of a network, drawn for every iteration as its skipping form would draw them.

    Exchanges the network's `StochasticDepth` layers, in place. A closed branch gets a gradient of 0
    from the multiplication; its normalisation statistics are put back after each step.

    Args:
        longest: most iterations that are drawn at once.
    """

    def __init__(self, model: nn.Module, *, seed: int, longest: int):
        self.seed, device = seed, next(model.parameters()).device
        places = [
            (parent, name, child)
            for parent in model.modules()
            for name, child in parent.named_children()
            if isinstance(child, StochasticDepth)
        ]
        self.survival = torch.tensor([depth.survival for _, _, depth in places])
        self.open = torch.ones(len(places), device=device)
        owners = []
        for number, (parent, name, depth) in enumerate(places):
            setattr(parent, name, GatedDepth(depth, self.open[number]))
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
        self.table = torch.ones(longest, len(places), device=device)
        self.position = torch.zeros(1, dtype=torch.int64, device=device)

    def begin(self, first: int, last: int) -> None:
        """Draw the gates of iterations `first` to `last` - 1, and start at `first`."""
        generator = torch.Generator()
        table = torch.empty(last - first, len(self.survival))
        for row, iteration in zip(table, range(first, last), strict=True):
            generator.manual_seed(derived_seed(self.seed, iteration))
            row.copy_(torch.rand(len(row), generator=generator) < self.survival)
        self.table[: len(table)].copy_(table)
        self.position.zero_()

    def before_forward(self) -> None:
        """Set the gates of the next iteration."""
        self.open.copy_(self.table.index_select(0, self.position)[0])
        self.position += 1
        self.before.copy_(self.statistics)

    def after_backward(self) -> None:
        """Put back the statistics of closed branches."""
        moved = self.open[self.owner] > 0
        self.statistics.copy_(torch.where(moved, self.statistics, self.before))

    def state(self) -> list[int]:
        """Nothing: the gates are a pure function of seed and iteration."""
        return []

    def load(self, state: list[int]) -> None:
        """Nothing to load."""

    def tensors(self) -> list[Tensor]:
        """The position in the table."""
        return [self.position]
