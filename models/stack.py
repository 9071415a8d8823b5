"""Straight stacks of convolutions, specified by words: NIN (Lin et al. 2014), All-CNN-C
(Springenberg et al. 2015) and ELU networks (Clevert et al. 2016)."""

import math
import re
from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from models.layers import UnscaledDropout, choose

CONV = re.compile(r"([1-9]\d?)x([1-9]\d{0,3}|K)(?:/([1-9]))?(v?)")
POOL = re.compile(r"m([2-9])")
DROPOUT = re.compile(r"d(0\.\d+)")
STARTS = ("normal", "xavier", "fan_in")


class Stack(nn.Module):
    """A sequence of layers, then global average pooling: (N, 3, H, W) to (N, classes).

    Args:
        layers: words of the layers. `5x192` is a 5x5 convolution with bias to 192 channels that
            keeps the size (`2x192` by padding at the right and bottom), `1xK` one to as many
            channels as there are classes; a trailing `/2` is the stride, `v` means no padding. `r`
            is a ReLU, `e` an ELU with alpha 1, `m3` 3x3 max pooling with stride 2 (ceil mode),
            `d0.5` dropout.
        scaled: whether dropout scales kept values up in training; otherwise values are scaled down
            in evaluation, as in cuda-convnet.
        init: initialisation of the convolutions, with biases 0: `xavier` (uniform within
            sqrt(3 / fan_in), as Caffe has it), `fan_in` (normal, sqrt(2 / fan_in)), or `normal` by
            `deviations`.
        deviations: standard deviation of each convolution's weights, first to last; the last one
            also applies to all further convolutions.
    """

    def __init__(
        self,
        layers: str,
        classes: int = 10,
        *,
        scaled: bool = True,
        init: str = "xavier",
        deviations: Sequence[float] = (),
    ):
        super().__init__()
        if classes < 2:
            raise ValueError(f"classes={classes} is below 2")
        choose("init", init, STARTS)
        if (init == "normal") != bool(deviations):
            raise ValueError(f"deviations={list(deviations)} and init={init!r} cannot be combined")
        self.layers = spell_stack(layers, classes, scaled)
        self.pool = nn.AdaptiveAvgPool2d(1)
        convs = [layer for layer in self.layers if isinstance(layer, nn.Conv2d)]
        if not convs or convs[-1].out_channels != classes:
            raise ValueError(f"layers={layers!r} does not end in K channels")
        for number, conv in enumerate(convs):
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
            if init == "xavier":
                bound = math.sqrt(3 / conv.weight[0].numel())
                nn.init.uniform_(conv.weight, -bound, bound)
            elif init == "fan_in":
                nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            else:
                nn.init.normal_(conv.weight, std=deviations[min(number, len(deviations) - 1)])

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.layers(x)).flatten(1)


def spell_stack(words: str, classes: int, scaled: bool) -> nn.Sequential:
    """Build the layers that words specify, named by kind and number: `conv1 act1 conv2 ...`.

    Raises:
        ValueError: a word is unknown.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    width = 3

    def add(kind: str, layer: nn.Module) -> None:
        count = 1 + sum(name.startswith(kind) for name in layers)
        layers[f"{kind}{count}"] = layer

    for word in words.split():
        layer: nn.Module
        if match := CONV.fullmatch(word):
            size, out = int(match[1]), classes if match[2] == "K" else int(match[2])
            border = 0 if match[4] else size // 2
            if border and size % 2 == 0:  # `padding="same"` does the same, with a warning
                add("pad", nn.ZeroPad2d((border - 1, border) * 2))
                border = 0
            kind, layer = "conv", nn.Conv2d(width, out, size, int(match[3] or 1), padding=border)
            width = out
        elif word == "r":
            kind, layer = "act", nn.ReLU(inplace=True)
        elif word == "e":
            kind, layer = "act", nn.ELU(inplace=True)
        elif match := POOL.fullmatch(word):
            kind, layer = "pool", nn.MaxPool2d(int(match[1]), 2, ceil_mode=True)
        elif match := DROPOUT.fullmatch(word):
            dropout = nn.Dropout if scaled else UnscaledDropout
            kind, layer = "drop", dropout(float(match[1]))
        else:
            raise ValueError(
                f"layers={words!r}: {word!r} is not a layer such as 5x192, 1xK, r, e, m3 or d0.5"
            )
        add(kind, layer)
    return nn.Sequential(layers)
