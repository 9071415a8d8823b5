"""Stochastic depth as gates on the device: a step that is the same whatever blocks are open."""

import torch
from torch import Tensor, nn

from models.stochastic_depth import StochasticDepth
from training.engines.drawn import Drawn


class GatedDepth(nn.Module):
    """A branch that is always computed, and multiplied by 1 or 0 (see `StochasticDepth`)."""

    def __init__(self, depth: StochasticDepth, gate: Tensor):
        super().__init__()
        self.branch, self.survival = depth.branch, depth.survival
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        return (self.gate if self.training else self.survival) * self.branch(x)


class Gates(Drawn):
    """The gates of a network, drawn for every iteration as its skipping form would draw them.

    Exchanges the network's `StochasticDepth` layers, in place. A closed branch gets a gradient of 0
    from the multiplication; its normalisation statistics are put back after each step.

    Args:
        longest: most iterations that are drawn at once.
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
        """Which branches are open, (branches,)."""
        return torch.rand(len(self.survival), generator=generator) < self.survival

    def before_forward(self) -> None:
        super().before_forward()
        self.before.copy_(self.statistics)

    def after_backward(self) -> None:
        """Put back the statistics of closed branches."""
        moved = self.current[self.owner] > 0
        self.statistics.copy_(torch.where(moved, self.statistics, self.before))
