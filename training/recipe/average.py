"""A moving average of the weights, evaluated and exported in their place."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from training.recipe.optimizer import FlatOptimizer
from training.recipe.step import Hook


class WeightAverage(Hook):
    """Exponential moving average of a network's parameters and normalisation statistics (Polyak
    and Juditsky 1992; Szegedy et al. 2016, Section 8).

    After update n it moves towards the weights by 1 - min(decay, (1 + n) / (10 + n)), as
    TensorFlow's, which the authors' code uses; this keeps the initial weights from dominating a
    short run.

    Attributes:
        average: one tensor for the parameters in the optimizer's layout, one for each statistic.
    """

    def __init__(self, optimizer: FlatOptimizer, decay: float):
        self.optimizer, self.decay = optimizer, decay
        buffers = {k: b for k, b in optimizer.model.named_buffers() if b.is_floating_point()}
        self.live = [optimizer.weights, *buffers.values()]
        self.average = [tensor.clone() for tensor in self.live]
        self.updates = torch.zeros((), device=optimizer.weights.device)
        flat = self.average[0]
        parameters = {
            name: flat.as_strided(p.shape, p.stride(), p.storage_offset())
            for name, p in optimizer.master.items()
        }
        self.named = parameters | dict(zip(buffers, self.average[1:], strict=True))

    @torch.no_grad()
    def after_update(self) -> None:
        self.updates += 1
        kept = ((1 + self.updates) / (10 + self.updates)).clamp(max=self.decay)
        for average, live in zip(self.average, self.live, strict=True):
            average.lerp_(live, 1 - kept)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Swap averages and weights, so that the network has the averages inside the context."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for average, live in zip(self.average, self.live, strict=True):
            before = average.clone()
            average.copy_(live)
            live.copy_(before)
        self.optimizer.renew_half()

    def state(self) -> dict[str, dict[str, Tensor]]:
        """The tensors themselves: the averages by parameter and statistic, and `updates`."""
        return {"average": {**self.named, "updates": self.updates}}

    def tensors(self) -> list[Tensor]:
        """Every tensor that an update changes."""
        return [*self.average, self.updates]
