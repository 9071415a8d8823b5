"""Drop-path as weights on the device: a step that is the same whatever columns are dropped."""

import torch
from torch import Tensor, nn

from models.fractalnet import DropPath
from training.engines.drawn import Drawn


class GivenPaths(nn.Module):
    """The weights of a network's joins, given to it (see `DropPath`)."""

    def __init__(self, weights: Tensor):
        super().__init__()
        self.weights = weights

    def forward(self) -> Tensor | None:
        return self.weights if self.training else None


class Paths(Drawn):
    """The weights of a network's joins, drawn for every iteration as its plain form would draw
    them; beside whatever else is drawn, so that all processes of a run draw the same.

    Exchanges the network's `DropPath`, in place. Dropped columns are computed, as in the authors'
    layers: their statistics move, and their gradient is 0.
    """

    def __init__(self, model: nn.Module, *, seed: int, longest: int):
        (place,) = (name for name, layer in model.named_children() if isinstance(layer, DropPath))
        self.paths: DropPath = getattr(model, place)
        device = next(model.parameters()).device
        current = torch.ones(self.paths.takes.shape, device=device)
        super().__init__(current, seed=seed, longest=longest)
        setattr(model, place, GivenPaths(self.current))

    def draw(self, generator: torch.Generator) -> Tensor:
        """The weights of an iteration, (joins, columns)."""
        return self.paths.draw(generator)
