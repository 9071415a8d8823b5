"""Maxout networks (Goodfellow et al. 2013), specified by words."""

import re
from functools import reduce

import torch
from torch import Tensor, nn

from models.layers import BareDropout

CONV = re.compile(r"([1-9]\d?)x([1-9]\d{0,3})(?:p(\d))?")
POOL = re.compile(r"m([2-9])")


class Maxout(nn.Module):
    """Maximum over several linear maps of the input (Goodfellow et al. 2013, Section 3).

    Args:
        pieces: number of linear maps per output.
        layer: convolution or linear layer that outputs all of them, piece after piece.
    """

    def __init__(self, pieces: int, layer: nn.Module):
        super().__init__()
        self.pieces, self.layer = pieces, layer

    def forward(self, x: Tensor) -> Tensor:
        return reduce(torch.maximum, self.layer(x).chunk(self.pieces, 1))


class MaxoutNetwork(nn.Module):
    """Maxout convolutions, a fully connected maxout layer, a linear classifier: (N, 3, size, size)
    to (N, classes).

    Args:
        layers: words of the convolutions. `8x96p4` is an 8x8 maxout convolution to 96 channels with
            zero padding of 4, `m4` is 4x4 max pooling with stride 2 (ceil mode), `g` is global max
            pooling.
        size: height and width of the images.
        pieces, hidden_pieces: pieces per output of the convolutions and the fully connected layer.
        hidden: outputs of the fully connected layer.
        drop_image: dropout rate of the image; kept values are never scaled.
        drop: dropout rate of the inputs of all other layers; kept values are scaled up.
        bound: weights are initialised uniformly within +-bound, biases to 0.
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
        drop_image: float = 0.2,
        drop: float = 0.5,
        bound: float = 0.005,
    ):
        super().__init__()
        if classes < 2:
            raise ValueError(f"classes={classes} is below 2")
        counts = {"pieces": pieces, "hidden": hidden, "hidden_pieces": hidden_pieces}
        for name, count in counts.items():
            if count < 1:
                raise ValueError(f"{name}={count} is below 1")
        for name, rate in (("drop_image", drop_image), ("drop", drop)):
            if not 0 <= rate < 1:
                raise ValueError(f"{name}={rate} is not in [0, 1)")
        self.layers, width, size = spell_maxout(layers, size, pieces, (drop_image, drop))
        values = width * size**2
        self.hidden = nn.Sequential(
            *dropout(drop), Maxout(hidden_pieces, nn.Linear(values, hidden * hidden_pieces))
        )
        self.drop = nn.Sequential(*dropout(drop))
        self.classifier = nn.Linear(hidden, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.uniform_(layer.weight, -bound, bound)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.layers(x))

    def classify(self, x: Tensor) -> Tensor:
        """Map the output of the convolutions to logits (N, classes)."""
        return self.classifier(self.drop(self.hidden(x.flatten(1))))


def spell_maxout(
    words: str, size: int, pieces: int, drops: tuple[float, float]
) -> tuple[nn.Sequential, int, int]:
    """Build the layers that words specify; return them, their output channels and output size.

    Args:
        drops: dropout rates before the first convolution and before each later one.

    Raises:
        ValueError: a word is unknown, or nothing is left of an image of this size.
    """
    layers, width = nn.Sequential(), 3
    for word in words.split():
        if match := CONV.fullmatch(word):
            kernel, out, border = int(match[1]), int(match[2]), int(match[3] or 0)
            conv = nn.Conv2d(width, out * pieces, kernel, padding=border)
            first = width == 3 and not len(layers)
            rates = (
                [BareDropout(drops[0])] if first and drops[0] else dropout(drops[1] * (not first))
            )
            layers.extend([*rates, Maxout(pieces, conv)])
            width, size = out, size + 2 * border - kernel + 1
        elif match := POOL.fullmatch(word):
            window = int(match[1])
            layers.append(nn.MaxPool2d(window, 2, ceil_mode=True))
            size = -(-(size - window) // 2) + 1 if size >= window else 0
        elif word == "g":
            layers.append(nn.AdaptiveMaxPool2d(1))
            size = 1
        else:
            raise ValueError(f"layers={words!r}: {word!r} is not a layer such as 8x96p4, m4 or g")
        if size < 1:
            raise ValueError(f"layers={words!r}: nothing is left of the images after {word!r}")
    return layers, width, size


def dropout(rate: float) -> list[nn.Module]:
    """A dropout layer, or none at rate 0."""
    return [nn.Dropout(rate)] if rate else []
