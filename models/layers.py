"""Layers shared by the networks, and their weight initialisation."""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import Tensor, nn

INITS = ("fan_in", "fan_out")
NORM_INITS = ("one", "uniform")


def conv3x3(w_in: int, w_out: int, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
    """3x3 convolution that keeps the size at stride 1; a bias is initialised to 0."""
    return _start_bias(nn.Conv2d(w_in, w_out, 3, stride, padding=1, bias=bias))


def conv1x1(w_in: int, w_out: int, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
    """1x1 convolution, which subsamples at stride 2; a bias is initialised to 0."""
    return _start_bias(nn.Conv2d(w_in, w_out, 1, stride, bias=bias))


class UnscaledDropout(nn.Dropout):
    """Dropout that does not scale kept values in training, but scales by 1 - p in evaluation
    (Srivastava et al. 2014, Section 4; cuda-convnet and its derivatives)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 - self.p)


class BareDropout(nn.Dropout):
    """Dropout without scaling in either training or evaluation (pylearn2's `input_scales` of 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 - self.p) if self.training else x


class AverageTo(nn.AdaptiveAvgPool2d):
    """Adaptive average pooling to side x side that returns maps of this size unchanged, because the
    backward pass of adaptive pooling on a GPU is not deterministic."""

    def __init__(self, side: int):
        super().__init__(side)
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        return x if x.shape[-2:] == (self.side, self.side) else super().forward(x)


def spell(
    word: str, width: int, convs: Sequence[Callable[[], nn.Conv2d]] = (), dropout: float = 0.0
) -> nn.Sequential:
    """Turn a layer word into layers: `c` the next convolution, `n` normalisation, `a` ReLU, `d`
    dropout.

    Layers are named by kind and number: `conv1 norm1 act1 conv2 ...`.

    Args:
        width: number of input channels; a convolution changes it.
        convs: creates each convolution, in order.
        dropout: rate of `d`.
    """
    names = {"c": "conv", "n": "norm", "a": "act", "d": "drop"}
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for position, letter in enumerate(word):
        count = word[: position + 1].count(letter)
        layer: nn.Module
        if letter == "c":
            layer = convs[count - 1]()
            width = layer.out_channels
        elif letter == "n":
            layer = nn.BatchNorm2d(width)  # PyTorch's eps and momentum are those of Lua Torch
        elif letter == "d":
            layer = nn.Dropout(dropout)
        else:
            # The input of the first layer may be used elsewhere: do not overwrite it.
            layer = nn.ReLU(inplace=position > 0)
        layers[f"{names[letter]}{count}"] = layer
    return nn.Sequential(layers)


def imagenet_stem(width: int, *, bias: bool = False) -> nn.Sequential:
    """ImageNet stem: 7x7 convolution with stride 2, BN, ReLU and 3x3 max pooling with stride 2."""
    stem = spell("cna", 3, [lambda: nn.Conv2d(3, width, 7, 2, padding=3, bias=bias)])
    stem.add_module("pool", nn.MaxPool2d(3, 2, padding=1))
    return stem


def init_weights(network: nn.Module, init: str, norm_init: str = "one") -> None:
    """Initialise the weights of a whole network.

    Convolutions: normal with variance 2 / fan (He et al. 2015, "Delving deep into rectifiers",
    eq. 10 `fan_in`, eq. 14 `fan_out`). Classifier, which the papers do not specify: uniform within
    1 / sqrt(fan_in) with bias 0, as in fb.resnet.torch. Normalisation: scale 1, or scales uniform
    in [0, 1] (`norm_init` `uniform`: Torch's default, unchanged in the code of Huang et al. 2016).
    Biases of convolutions are left as they are.

    Raises:
        ValueError: a rule is unknown.
    """
    choose("init", init, INITS)
    choose("norm_init", norm_init, NORM_INITS)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode=init, nonlinearity="relu")  # type: ignore[arg-type]
        elif isinstance(layer, nn.Linear):
            bound = 1 / math.sqrt(layer.in_features)
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d) and norm_init == "uniform":
            nn.init.uniform_(layer.weight)


def choose(name: str, value: str, choices: Sequence[str]) -> str:
    """Return the value if it is one of the choices.

    Raises:
        ValueError: the value is unknown; the message names the argument and the choices.
    """
    if value not in choices:
        raise ValueError(f"{name}={value!r} is unknown; choose one of {', '.join(choices)}")
    return value


def _start_bias(conv: nn.Conv2d) -> nn.Conv2d:
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
