"""Deeply-supervised nets (Lee et al. 2015): a straight stack with a classifier at each stage."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from models.stack import Stack


class DeeplySupervised(nn.Module):
    """A straight stack with companion classifiers: (N, 3, size, size) to (N, classes).

    In training mode, the logits are followed by those of the heads: one linear classifier on the
    output of each convolution larger than 1x1, before its ReLU (Lee et al. 2015, Fig. 1; their
    code).

    Args:
        layers: words of the stack, see `models.stack.Stack`.
        size: height and width of the images.
        scaled, deviations: see `models.stack.Stack`; its init is `normal`.
    """

    def __init__(
        self,
        layers: str,
        classes: int = 10,
        *,
        size: int = 32,
        scaled: bool = False,
        deviations: Sequence[float] = (0.05,),
    ):
        super().__init__()
        self.trunk = Stack(layers, classes, scaled=scaled, init="normal", deviations=deviations)
        self.heads, self.at = nn.ModuleList(), []
        pixels = size
        for name, layer in self.trunk.layers.named_children():
            pixels = size_behind(layer, pixels)
            if pixels < 1:
                raise ValueError(f"size={size} is too small for layers={layers!r}")
            if isinstance(layer, nn.ReLU):
                layer.inplace = False  # a head reads its input
            if isinstance(layer, nn.Conv2d) and layer.kernel_size[0] > 1:
                self.at.append(name)
                self.heads.append(make_head(layer.out_channels * pixels**2, classes))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        if not self.training:
            return self.trunk(x)
        extras: list[Tensor] = []
        for name, layer in self.trunk.layers.named_children():
            x = layer(x)
            if name in self.at:
                extras.append(self.heads[len(extras)](x.flatten(1)))
        return (self.trunk.pool(x).flatten(1), *extras)


def size_behind(layer: nn.Module, size: int) -> int:
    """Height and width of a layer's output, for input of height and width `size`."""
    if isinstance(layer, nn.Conv2d):
        return (size + 2 * int(layer.padding[0]) - layer.kernel_size[0]) // layer.stride[0] + 1
    if isinstance(layer, nn.MaxPool2d):
        window: Any = layer.kernel_size
        return -(-(size - window) // 2) + 1  # as with ceil_mode
    return size


def make_head(values: int, classes: int) -> nn.Linear:
    """A linear classifier with weights uniform within sqrt(3 / (classes * values)): Caffe's filler
    takes the total number of weights as the fan-in."""
    head = nn.Linear(values, classes)
    bound = math.sqrt(3 / (classes * values))
    nn.init.uniform_(head.weight, -bound, bound)
    nn.init.zeros_(head.bias)
    return head
