"""What a run consists of, as a checkpoint, a captured step and a restart see it."""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor


class Part(Protocol):
    """Something of a run that outlives a step."""

    def state(self) -> Any:
        """What a checkpoint keeps: tensors, numbers and containers of them."""

    def load(self, state: Any) -> None:
        """Go on from what `state` gave."""

    def tensors(self) -> Sequence[Tensor]:
        """Every tensor that a step changes, the same ones every time."""


class TensorPart:
    """A part that is one tensor, whoever changes it."""

    def __init__(self, tensor: Tensor):
        self.tensor = tensor

    def state(self) -> Tensor:
        return self.tensor

    def load(self, state: Tensor) -> None:
        self.tensor.copy_(state)

    def tensors(self) -> list[Tensor]:
        return [self.tensor]
