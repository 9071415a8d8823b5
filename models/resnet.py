"""Residual and plain networks of He et al. 2015."""

from collections import OrderedDict

from torch import Tensor, nn

from models.layers import conv3x3, init_weights, norm
from models.residual import ResidualUnit


class CifarResNet(nn.Module):
    """The CIFAR network of He et al. 2015, Section 4.2: 6n + 2 layers.

    A 3x3 convolution, three stages of n two-layer units with 16, 32 and 64 channels (the second
    and third begin with stride 2), global average pooling and a linear classifier. Takes images
    (N, 3, H, W) to logits (N, classes).

    Args:
        depth: weighted layers, 6n + 2: 20, 32, 44, 56, 110 and 1202 in the paper.
        classes: number of classes.
        shortcut: `identity`, or `none` for the plain network.
        match: shortcut where the size changes; `pad` is the paper's option A.
        order: activation order of every unit.
        init: variance rule of the convolutions, `fan_in` or `fan_out`.

    Raises:
        ValueError: an argument is impossible; the message names it.
    """

    WIDTHS = (16, 32, 64)

    def __init__(
        self,
        depth: int,
        classes: int = 10,
        *,
        shortcut: str = "identity",
        match: str = "pad",
        order: str = "original",
        init: str = "fan_in",
    ):
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            near = 6 * max(1, round((depth - 2) / 6)) + 2
            raise ValueError(f"depth={depth} is not 6n + 2; the nearest that is: {near}")
        if classes < 2:
            raise ValueError(f"classes={classes} is below 2")
        first = self.WIDTHS[0]
        self.stem = nn.Sequential(
            OrderedDict(conv=conv3x3(3, first), norm=norm(first), act=nn.ReLU(inplace=True))
        )
        self.stages = nn.Sequential()
        w_in = first
        for stage, width in enumerate(self.WIDTHS):
            units = nn.Sequential()
            for unit in range((depth - 2) // 6):
                stride = 2 if stage > 0 and unit == 0 else 1
                units.append(
                    ResidualUnit(w_in, width, stride, order=order, shortcut=shortcut, match=match)
                )
                w_in = width
            self.stages.append(units)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(w_in, classes)
        init_weights(self, init)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.stem(x))
        return self.classifier(self.pool(x).flatten(1))
