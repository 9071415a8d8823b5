"""What is drawn on the host for every iteration, and lies on the device when its step needs it."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from data.order import derived_seed
from training.recipe.step import Hook


class Drawn(Hook, ABC):
    """A tensor that has other random values in every iteration, a pure function of seed and
    iteration, always at the same address.

    Attributes:
        current: the values of this iteration.
        position: in the table of what is drawn; every step moves it.

    Args:
        current: the tensor, on the device.
        longest: most iterations that are drawn at once.
    """

    def __init__(self, current: Tensor, *, seed: int, longest: int):
        self.current, self.seed = current, seed
        self.table = current.new_ones(longest, *current.shape)
        self.position = torch.zeros(1, dtype=torch.int64, device=current.device)

    @abstractmethod
    def draw(self, generator: torch.Generator) -> Tensor:
        """The values of an iteration, on the CPU."""

    def begin(self, first: int, last: int) -> None:
        """Draw for iterations `first` to `last` - 1, and start at `first`."""
        generator = torch.Generator()
        rows = [
            self.draw(generator.manual_seed(derived_seed(self.seed, iteration)))
            for iteration in range(first, last)
        ]
        self.table[: len(rows)].copy_(torch.stack(rows))
        self.position.zero_()

    def before_forward(self) -> None:
        """Set the values of the next iteration."""
        self.current.copy_(self.table.index_select(0, self.position)[0])
        self.position += 1
