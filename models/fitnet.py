"""FitNets (Romero et al. 2015): a thin, deep student guided by a teacher's hint and logits."""

from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from models.maxout import Maxout, MaxoutNetwork

POOLS = 2  # pooling layers up to the hint, which is the middle layer of student and teacher
REGRESSOR = 2  # kernel size of the regressor, in pixels
BOUND = 0.05  # its weights are initialised uniformly within +-BOUND


class FitNet(nn.Module):
    """A maxout network without dropout, with an optional teacher: (N, 3, size, size) to
    (N, classes).

    In training mode with a teacher, forward returns the logits, the regressor's output on the
    student's second pooling, the teacher's logits, and the teacher's hint, which is the output of
    its own second pooling (Romero et al. 2015, Fig. 1). The teacher is not part of the network's
    state; it stays in evaluation mode and gets no gradients.

    Args:
        layers, size, pieces, hidden, hidden_pieces, bound: see `models.maxout.MaxoutNetwork`.
        hint: channels of the teacher's hint.
    """

    def __init__(
        self,
        layers: str,
        classes: int = 10,
        *,
        size: int = 32,
        pieces: int = 2,
        hidden: int = 500,
        hidden_pieces: int = 5,
        bound: float = 0.005,
        hint: int = 192,
    ):
        super().__init__()
        if hint < 1:
            raise ValueError(f"hint={hint} is below 1")
        self.student = MaxoutNetwork(
            layers, classes, size=size, pieces=pieces, hidden=hidden, hidden_pieces=hidden_pieces,
            drop_image=0.0, drop=0.0, bound=bound,
        )  # fmt: skip
        guided, _ = halves(self.student)
        convolutions = [layer for layer in guided.modules() if isinstance(layer, nn.Conv2d)]
        if not convolutions:
            raise ValueError(f"layers={layers!r} has no convolution before its second pooling")
        width = convolutions[-1].out_channels // pieces
        regressor = nn.Conv2d(width, hint * pieces, REGRESSOR)
        nn.init.uniform_(regressor.weight, -BOUND, BOUND)
        nn.init.zeros_(regressor.bias)  # type: ignore[arg-type]
        self.heads = nn.ModuleList([Maxout(pieces, regressor)])
        self.teachers: list[MaxoutNetwork] = []  # in a list, to keep it out of the state dict

    def follow(self, teacher: MaxoutNetwork) -> None:
        """Set the teacher, and freeze it in evaluation mode."""
        self.teachers = [teacher.eval().requires_grad_(False)]

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        if not self.training or not self.teachers:
            return self.student(x)
        guided, rest = halves(self.student)
        middle = guided(x)
        logits, regressed = self.student.classify(rest(middle)), self.heads[0](middle)
        with torch.no_grad():
            guided, rest = halves(self.teachers[0])
            hint = guided(x)
            taught = self.teachers[0].classify(rest(hint))
        return logits, regressed, taught, hint


def halves(network: MaxoutNetwork) -> tuple[nn.Sequential, nn.Sequential]:
    """Split a network's convolutional layers after the second pooling.

    Raises:
        ValueError: the network has no second pooling.
    """
    pools = accumulate(isinstance(layer, nn.MaxPool2d) for layer in network.layers)
    at = next((number for number, count in enumerate(pools, 1) if count == POOLS), None)
    if at is None:
        raise ValueError("layers has no second pooling, m2, to take a hint at")
    layers: Any = network.layers
    return layers[:at], layers[at:]
