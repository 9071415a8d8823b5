"""Dense blocks that keep their feature maps in one buffer and normalise them once; see
`fused_residual`."""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from models.densenet import DenseBlock, DenseLayer, DenseNet, Transition
from training.engines.kernels.dense_maps import DenseMaps, PlainMaps


class SharedBlock(nn.Module):
    """A dense block that returns its buffer; the last to read it is a transition or the final
    activation.

    In evaluation, every layer has its own statistics, so it concatenates like the plain block.
    """

    def __init__(self, block: DenseBlock):
        super().__init__()
        self.layers: Any = block.layers
        self.w_out = block.w_out

    def forward(self, x: Tensor) -> Tensor | DenseMaps:
        if not self.training:
            for layer in self.layers:
                x = torch.cat([x, layer([x])], 1)
            return x
        first = self.layers[0].first[0]
        maps = (PlainMaps if first.plain else DenseMaps)(x, self.w_out, first.eps)
        for layer in self.layers:
            norm, *others = layer.first.children()
            y = maps.read(norm)
            for other in others:
                y = other(y)
            y = layer.dropout(y)
            maps.write(layer.dropout(layer.second(y)) if layer.bottleneck else y)
        return maps


class SharedTransition(nn.Module):
    """A transition that reads the buffer of a dense block."""

    def __init__(self, transition: Transition):
        super().__init__()
        self.conv = SharedRead(transition.conv)
        self.dropout, self.pool = transition.dropout, transition.pool

    def forward(self, x: Any) -> Tensor:
        return self.pool(self.dropout(self.conv(x)))


class SharedRead(nn.Sequential):
    """A sequence of layers that starts by normalising a buffer."""

    def __init__(self, layers: nn.Sequential):
        super().__init__(OrderedDict(layers.named_children()))

    def forward(self, x: Any) -> Tensor:
        norm: Any
        norm, *others = self.children()
        x = x.read_last(norm) if isinstance(x, DenseMaps) else norm(x)
        for layer in others:
            x = layer(x)
        return x


def fuse_blocks(model: DenseNet) -> None:
    """Replace the blocks of a DenseNet and what follows each, unless it is memory-efficient."""
    if any(part.efficient for part in model.modules() if isinstance(part, DenseLayer)):
        return
    for name, part in model.stages.named_children():
        shared = SharedBlock(part) if isinstance(part, DenseBlock) else SharedTransition(part)  # type: ignore[arg-type]
        model.stages._modules[name] = shared
    model.activation = SharedRead(model.activation)
