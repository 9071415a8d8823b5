"""Highway networks (Srivastava et al. 2015) for CIFAR."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import conv1x1, conv3x3

WIDTHS = (32, 80, 128)
LAST = 100  # channels before the average pooling
DROPOUT = 0.2
OTHERS = len(WIDTHS) + 2  # layers other than highway layers: the first of a stage, the last two


class HighwayLayer(nn.Module):
    """T H + (1 - T) x (Srivastava et al. 2015, eq. 3), which keeps the shape (N, width, H, W).

    H = relu(conv3x3(x)) and T = sigmoid(conv3x3(x)), whose bias is initialised to `gate_bias`.
    """

    def __init__(self, width: int, gate_bias: float):
        super().__init__()
        self.conv = conv3x3(width, width, bias=True)
        self.gate = conv3x3(width, width, bias=True)
        nn.init.constant_(self.gate.bias, gate_bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.gate(x))
        return gate * F.relu(self.conv(x)) + (1 - gate) * x


class Highway(nn.Module):
    """A highway network for CIFAR: (N, 3, H, W) to (N, classes).

    Three stages of 32, 80 and 128 channels: dropout of 0.2, a 3x3 convolution and highway layers,
    with max pooling between stages. A 1x1 convolution to 100 channels, global average pooling,
    dropout and a linear classifier follow (the released network, that of Srivastava et al. 2015,
    Table 3).

    Args:
        depth: weighted layers as the paper counts them, a highway layer as one. With 19, the stages
            have 4, 5 and 5 highway layers.
        gate_bias: initial bias of the gates.
        deviations: initial standard deviation of the weights of the first convolution and of the
            classifier; where not given, and for all other layers, sqrt(2 / fan_in).
    """

    def __init__(
        self,
        depth: int = 19,
        classes: int = 10,
        *,
        gate_bias: float = -2.0,
        deviations: Sequence[float] = (),
    ):
        super().__init__()
        if classes < 2:
            raise ValueError(f"classes={classes} is below 2")
        if depth < OTHERS + len(WIDTHS):
            raise ValueError(f"depth={depth} is below {OTHERS + len(WIDTHS)}, one layer per stage")
        if len(deviations) > 2:
            raise ValueError(f"deviations={list(deviations)} has more than two values")
        self.stages, w_in, left = nn.Sequential(), 3, depth - OTHERS
        for number, width in enumerate(WIDTHS):
            layers = left // (len(WIDTHS) - number)  # later stages get the remainder
            left -= layers
            self.stages.append(make_stage(w_in, width, layers, gate_bias))
            if number < len(WIDTHS) - 1:
                self.stages.append(nn.MaxPool2d(2))
            w_in = width
        self.last = nn.Sequential(conv1x1(w_in, LAST, bias=True), nn.ReLU(inplace=True))
        self.pool, self.dropout = nn.AdaptiveAvgPool2d(1), nn.Dropout(DROPOUT)
        self.classifier = nn.Linear(LAST, classes)
        nn.init.zeros_(self.classifier.bias)
        weights = [p for p in self.parameters() if p.ndim > 1]
        for weight in weights:
            nn.init.kaiming_normal_(weight, nonlinearity="relu")
        for weight, deviation in zip((weights[0], weights[-1]), deviations, strict=False):
            nn.init.normal_(weight, std=deviation)

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.stages(x))
        return self.classifier(self.dropout(self.pool(x).flatten(1)))


def make_stage(w_in: int, width: int, layers: int, gate_bias: float) -> nn.Sequential:
    """Dropout, a 3x3 convolution that changes the width, and highway layers."""
    first = [nn.Dropout(DROPOUT), conv3x3(w_in, width, bias=True), nn.ReLU(inplace=True)]
    return nn.Sequential(*first, *(HighwayLayer(width, gate_bias) for _ in range(layers)))
