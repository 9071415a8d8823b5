"""The layers every network here is made of, and the rules by which their weights start."""

import math
from collections import OrderedDict
from collections.abc import Callable

from torch import nn

INITS = ("fan_in", "fan_out")


def conv3x3(w_in: int, w_out: int, stride: int = 1) -> nn.Conv2d:
    """3x3 convolution that keeps the size at stride 1; no bias, because normalisation follows."""
    return nn.Conv2d(w_in, w_out, 3, stride, padding=1, bias=False)


def norm(width: int) -> nn.BatchNorm2d:
    """Batch normalisation (Ioffe and Szegedy 2015) with the eps and momentum of the Torch codes."""
    return nn.BatchNorm2d(width, eps=1e-5, momentum=0.1)


def spell(word: str, convs: list[Callable[[], nn.Conv2d]], width: int) -> nn.Sequential:
    """Turn a layer word into layers: `c` the next convolution, `n` normalisation, `a` ReLU.

    Layers are named by their kind and place: `conv1 norm1 act1 conv2 ...`.
    `width` is the width at every `n`.
    """
    makers = {"n": lambda: norm(width), "a": lambda: nn.ReLU(inplace=True)}
    names = {"c": "conv", "n": "norm", "a": "act"}
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for position, letter in enumerate(word):
        count = word[: position + 1].count(letter)
        layer = convs[count - 1]() if letter == "c" else makers[letter]()
        layers[f"{names[letter]}{count}"] = layer
    return nn.Sequential(layers)


def init_weights(network: nn.Module, init: str) -> None:
    """Start the weights of a whole network.

    Convolutions: normal with variance 2 / fan (He et al. 2015, "Delving deep into rectifiers",
    eq. 10 `fan_in`, eq. 14 `fan_out`). The papers do not give the start of the classifier: uniform
    within 1 / sqrt(fan_in) with no bias, as in fb.resnet.torch.

    Raises:
        ValueError: `init` is neither `fan_in` nor `fan_out`.
    """
    if init not in INITS:
        raise ValueError(f"init={init!r} is unknown; choose one of {', '.join(INITS)}")
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode=init, nonlinearity="relu")  # type: ignore[arg-type]
        elif isinstance(layer, nn.Linear):
            bound = 1 / math.sqrt(layer.in_features)
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.zeros_(layer.bias)
