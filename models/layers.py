"""The layers every network here is made of, and the rules by which their weights start."""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import Tensor, nn

INITS = ("fan_in", "fan_out")
NORM_INITS = ("one", "uniform")


def conv3x3(w_in: int, w_out: int, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
    """3x3 convolution that keeps the size at stride 1; a bias, where there is one, starts at 0."""
    return _start_bias(nn.Conv2d(w_in, w_out, 3, stride, padding=1, bias=bias))


def conv1x1(w_in: int, w_out: int, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
    """1x1 convolution, which subsamples at stride 2; a bias, where there is one, starts at 0."""
    return _start_bias(nn.Conv2d(w_in, w_out, 1, stride, bias=bias))


class UnscaledDropout(nn.Dropout):
    """Dropout that leaves what it keeps as it is, and scales by 1 - p in evaluation instead
    (Srivastava et al. 2014, Section 4; cuda-convnet and its children)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 - self.p)


class BareDropout(nn.Dropout):
    """Dropout that scales nothing, neither in training nor in evaluation (pylearn2's
    `input_scales` of 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 - self.p) if self.training else x


class AverageTo(nn.AdaptiveAvgPool2d):
    """Averages that bring maps of any size to side x side; maps that have it pass as they are,
    because on a GPU the backward pass of adaptive pooling does not repeat its bits."""

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

    Layers are named by their kind and place: `conv1 norm1 act1 conv2 ...`.

    Args:
        width: of what goes in; a convolution changes it.
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
            layer = nn.BatchNorm2d(width)  # with the eps and momentum of the Torch codes
        elif letter == "d":
            layer = nn.Dropout(dropout)
        else:
            # What goes into the first layer belongs to somebody else as well.
            layer = nn.ReLU(inplace=position > 0)
        layers[f"{names[letter]}{count}"] = layer
    return nn.Sequential(layers)


def imagenet_stem(width: int, *, bias: bool = False) -> nn.Sequential:
    """The first layers on ImageNet: a 7x7 convolution of stride 2, activated, and max pooling."""
    stem = spell("cna", 3, [lambda: nn.Conv2d(3, width, 7, 2, padding=3, bias=bias)])
    stem.add_module("pool", nn.MaxPool2d(3, 2, padding=1))
    return stem


def init_weights(network: nn.Module, init: str, norm_init: str = "one") -> None:
    """Start the weights of a whole network.

    Convolutions: normal with variance 2 / fan (He et al. 2015, "Delving deep into rectifiers",
    eq. 10 `fan_in`, eq. 14 `fan_out`). The papers do not give the start of the classifier: uniform
    within 1 / sqrt(fan_in) with no bias, as in fb.resnet.torch. Normalisation starts with scale 1,
    or with scales drawn uniformly from 0 to 1 (`norm_init` `uniform`: Torch's default, which the
    code of Huang et al. 2016 leaves as it is). Biases of convolutions stay as they were made.

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
    """The value, if it is one of the choices.

    Raises:
        ValueError: it is none; the message names the argument and them.
    """
    if value not in choices:
        raise ValueError(f"{name}={value!r} is unknown; choose one of {', '.join(choices)}")
    return value


def _start_bias(conv: nn.Conv2d) -> nn.Conv2d:
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
