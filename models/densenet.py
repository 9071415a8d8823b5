"""Densely connected networks (Huang et al. 2017), for CIFAR, SVHN and ImageNet."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.layers import choose, conv1x1, conv3x3, imagenet_stem, init_weights, spell

# Layers per dense block: Huang et al. 2017, Table 1 (161 in early versions, 264 in the last).
IMAGENET = {
    121: (6, 12, 24, 16),
    161: (6, 12, 36, 24),
    169: (6, 12, 32, 32),
    201: (6, 12, 48, 32),
    264: (6, 12, 64, 48),
}
IMAGES = ("cifar", "imagenet")
BOTTLENECK = 4  # a bottleneck's 1x1 convolution outputs 4k feature maps (Section 3)


class DenseLayer(nn.Module):
    """H_l of Huang et al. 2017, Section 3: k new feature maps from the concatenation of all before.

    BN-ReLU-conv3x3(k), or with `bottleneck` BN-ReLU-conv1x1(4k)-BN-ReLU-conv3x3(k). Maps a list of
    feature maps (N, *, H, W) with w_in channels in total to (N, growth, H, W). Dropout follows each
    convolution. Without `bottleneck`, `first` is the 3x3 convolution and `second` is empty.

    With `efficient`, the concatenation and the inputs of the first convolution are recomputed in
    the backward pass instead of stored: the same outputs and gradients in less memory.
    """

    def __init__(
        self, w_in: int, growth: int, *, bottleneck: bool, dropout: float, efficient: bool
    ):
        super().__init__()
        width = BOTTLENECK * growth if bottleneck else growth
        first = conv1x1 if bottleneck else conv3x3
        self.first = spell("nac", w_in, [lambda: first(w_in, width)])
        self.second = spell("nac" if bottleneck else "", width, [lambda: conv3x3(width, growth)])
        self.bottleneck, self.dropout, self.efficient = bottleneck, nn.Dropout(dropout), efficient

    def forward(self, maps: list[Tensor]) -> Tensor:
        if self.efficient and self.training and torch.is_grad_enabled():
            x = checkpoint(
                self.concatenated, *maps, use_reentrant=False, context_fn=self.contexts,
                preserve_rng_state=False,
            )  # fmt: skip
        else:
            x = self.concatenated(*maps)
        x = self.dropout(x)
        return self.dropout(self.second(x)) if self.bottleneck else x

    def concatenated(self, *maps: Tensor) -> Tensor:
        """Apply the first convolution to all feature maps so far."""
        return self.first(torch.cat(maps, 1))

    def contexts(self) -> tuple[AbstractContextManager, AbstractContextManager]:
        """Contexts of the forward pass and of its recomputation."""
        return nullcontext(), self.frozen_statistics()

    @contextmanager
    def frozen_statistics(self) -> Iterator[None]:
        """Leave the running statistics alone: they already include this batch."""
        norm: Any = self.first[0]
        before = norm.momentum, norm.num_batches_tracked
        norm.momentum, norm.num_batches_tracked = 0.0, None
        try:
            yield
        finally:
            norm.momentum, norm.num_batches_tracked = before


class DenseBlock(nn.Module):
    """Layers that each see the outputs of all before: (N, w_in, H, W) to (N, w_out, H, W)."""

    def __init__(
        self,
        w_in: int,
        layers: int,
        growth: int,
        *,
        bottleneck: bool,
        dropout: float,
        efficient: bool,
    ):
        super().__init__()
        self.layers = nn.ModuleList(
            DenseLayer(
                w_in + layer * growth, growth, bottleneck=bottleneck, dropout=dropout,
                efficient=efficient,
            )
            for layer in range(layers)
        )  # fmt: skip
        self.w_out = w_in + layers * growth

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for layer in self.layers:
            maps.append(layer(maps))
        return torch.cat(maps, 1)


class Transition(nn.Module):
    """BN-ReLU-conv1x1-dropout-pool2: (N, w_in, H, W) to (N, w_out, H // 2, W // 2)."""

    def __init__(self, w_in: int, w_out: int, *, dropout: float):
        super().__init__()
        self.conv = spell("nac", w_in, [lambda: conv1x1(w_in, w_out)])
        self.dropout = nn.Dropout(dropout)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.dropout(self.conv(x)))


class DenseNet(nn.Module):
    """DenseNet, -B, -C and -BC (Huang et al. 2017, Section 3): (N, 3, H, W) to (N, classes).

    For CIFAR and SVHN: a 3x3 convolution and three dense blocks with the same number of layers. For
    ImageNet (Table 1): a 7x7 convolution with stride 2, max pooling and four blocks. Transitions
    between blocks; BN, ReLU, global average pooling and a linear classifier at the end. The first
    convolution has 16 channels, or twice the growth rate in DenseNet-BC (Section 3,
    "Implementation Details").

    Args:
        depth: weighted layers. CIFAR: 3n + 4, or 6n + 4 with `bottleneck`. ImageNet: 121, 161,
            169, 201 or 264.
        growth: growth rate k.
        images: `cifar` or `imagenet`.
        bottleneck: a 1x1 convolution before each 3x3 one (-B).
        compression: theta, the fraction of feature maps a transition keeps (-C: below 1).
        dropout: rate after each convolution but the first.
        efficient: save memory by recomputing concatenations.
        init: variance rule of the convolutions, `fan_in` or `fan_out`.
    """

    def __init__(
        self,
        depth: int,
        growth: int,
        classes: int = 10,
        *,
        images: str = "cifar",
        bottleneck: bool = False,
        compression: float = 1.0,
        dropout: float = 0.0,
        efficient: bool = False,
        init: str = "fan_out",
    ):
        super().__init__()
        if classes < 2:
            raise ValueError(f"classes={classes} is below 2")
        if growth < 1:
            raise ValueError(f"growth={growth} is below 1")
        if not 0 < compression <= 1:
            raise ValueError(f"compression={compression} is not in (0, 1]; 1 keeps every map")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout} is not in [0, 1)")
        blocks = layers_per_block(depth, images, bottleneck, compression)
        width = 2 * growth if bottleneck and compression < 1 else 16
        if images == "cifar":
            self.stem = nn.Sequential(OrderedDict(conv1=conv3x3(3, width)))
        else:
            self.stem = imagenet_stem(width)
        self.stages = nn.Sequential()
        for number, layers in enumerate(blocks, 1):
            block = DenseBlock(
                width, layers, growth, bottleneck=bottleneck, dropout=dropout, efficient=efficient
            )
            self.stages.add_module(f"block{number}", block)
            width = block.w_out
            if number < len(blocks):
                kept = int(width * compression)
                if kept < 1:
                    raise ValueError(f"compression={compression} keeps none of {width} maps")
                transition = Transition(width, kept, dropout=dropout)
                self.stages.add_module(f"transition{number}", transition)
                width = kept
        self.activation = spell("na", width)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(width, classes)
        init_weights(self, init)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.stages(self.stem(x)))
        return self.classifier(self.pool(x).flatten(1))


def layers_per_block(
    depth: int, images: str, bottleneck: bool, compression: float
) -> tuple[int, ...]:
    """Number of layers in each dense block.

    Raises:
        ValueError: there is no such network; the message names the valid or nearest depths.
    """
    choose("images", images, IMAGES)
    if images == "imagenet":
        if depth not in IMAGENET:
            known = ", ".join(map(str, IMAGENET))
            raise ValueError(f"depth={depth} is not one of {known}")
        if not bottleneck or compression == 1:
            given = "bottleneck=False" if not bottleneck else "compression=1"
            raise ValueError(f"{given} is not for the ImageNet networks, which are all -BC")
        return IMAGENET[depth]
    period = 6 if bottleneck else 3
    if depth < period + 4 or (depth - 4) % period:
        near = period * max(1, round((depth - 4) / period)) + 4
        raise ValueError(
            f"depth={depth} is not {period}n + 4; "
            f"the nearest valid depth is {near} (bottleneck={bottleneck})"
        )
    return ((depth - 4) // period,) * 3
