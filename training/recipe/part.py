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
