"""The parts of a run's state, as seen by checkpoints, captured steps and restarts."""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor


class Part(Protocol):
    """A part of a run's state that persists across steps."""

    def state(self) -> Any:
        """Return what a checkpoint keeps: tensors, numbers and containers of them."""

    def load(self, state: Any) -> None:
        """Restore what `state` returned."""

    def tensors(self) -> Sequence[Tensor]:
        """Return every tensor that a step changes, always the same objects."""


class TensorPart:
    """A part that consists of one tensor, updated elsewhere."""

    def __init__(self, tensor: Tensor):
        self.tensor = tensor

    def state(self) -> Tensor:
        return self.tensor

    def load(self, state: Tensor) -> None:
        self.tensor.copy_(state)

    def tensors(self) -> list[Tensor]:
        return [self.tensor]
