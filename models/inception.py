"""GoogLeNet (Szegedy et al. 2015), BN-Inception (Ioffe and Szegedy 2015) and Inception-v3 (Szegedy
et al. 2016) for ImageNet."""

import math
import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import INITS, AverageTo, choose, init_weights

CONV = re.compile(r"(\d)x(\d) (\d+)(?: /(\d))?( p0)?")
BIAS = 0.2  # initial bias in BVLC's Caffe GoogLeNet


def googlenet(a: int, b: int, b3: int, c: int, c5: int, pooled: int) -> str:
    """A unit from the columns of Szegedy et al. 2015, Table 1."""
    return f"1x1 {a} | 1x1 {b}, 3x3 {b3} | 1x1 {c}, 5x5 {c5} | max, 1x1 {pooled}"


def normed(a: int, b: int, b3: int, c: int, c3: int, pool: str, pooled: int) -> str:
    """A unit from the columns of Ioffe and Szegedy 2015, Fig. 5."""
    return f"1x1 {a} | 1x1 {b}, 3x3 {b3} | 1x1 {c}, 3x3 {c3}, 3x3 {c3} | {pool}, 1x1 {pooled}"


def halved(b: int, b3: int, c: int, c3: int) -> str:
    """A unit of stride 2 from the same columns."""
    return f"1x1 {b}, 3x3 {b3} /2 | 1x1 {c}, 3x3 {c3}, 3x3 {c3} /2 | max /2"


def mixed_a(pooled: int) -> str:
    """Szegedy et al. 2016, Fig. 5, but with the 5x5 convolution of the released code."""
    return f"1x1 64 | 1x1 48, 5x5 64 | 1x1 64, 3x3 96, 3x3 96 | avg, 1x1 {pooled}"


def mixed_c(w: int) -> str:
    """Szegedy et al. 2016, Fig. 6: 7x7 convolutions factorised into 1x7 and 7x1."""
    row, column, last = f"1x7 {w}", f"7x1 {w}", "7x1 192"
    return (
        f"1x1 192 | 1x1 {w}, {row}, {last} | 1x1 {w}, {column}, {row}, {column}, 1x7 192 | "
        "avg, 1x1 192"
    )


MIXED_B = "3x3 384 /2 p0 | 1x1 64, 3x3 96, 3x3 96 /2 p0 | max /2 p0"
MIXED_D = "1x1 192, 3x3 320 /2 p0 | 1x1 192, 1x7 192, 7x1 192, 3x3 192 /2 p0 | max /2 p0"
SPLIT = "(1x3 384 & 3x1 384)"  # Szegedy et al. 2016, Fig. 7
MIXED_E = f"1x1 320 | 1x1 384, {SPLIT} | 1x1 448, 3x3 384, {SPLIT} | avg, 1x1 192"


@dataclass(frozen=True)
class Plan:
    """Specification of a network.

    Attributes:
        parts: names and words of the parts, first to last; see `make_layers` for the words.
        eps: of the normalisation after every convolution; None for biases instead of normalisation.
        dropout: rate before the classifier.
        auxiliary: parts that are followed by an auxiliary classifier.
        least: height and width of the smallest images it can be trained on, in pixels.
    """

    parts: dict[str, str]
    eps: float | None
    dropout: float
    auxiliary: tuple[str, ...] = ()
    least: int = 1


VERSIONS = {
    "googlenet": Plan(
        parts={
            "stem": "7x7 64 /2, max /2, lrn, 1x1 64, 3x3 192, lrn, max /2",
            "3a": googlenet(64, 96, 128, 16, 32, 32),
            "3b": googlenet(128, 128, 192, 32, 96, 64),
            "pool3": "max /2",
            "4a": googlenet(192, 96, 208, 16, 48, 64),
            "4b": googlenet(160, 112, 224, 24, 64, 64),
            "4c": googlenet(128, 128, 256, 24, 64, 64),
            "4d": googlenet(112, 144, 288, 32, 64, 64),
            "4e": googlenet(256, 160, 320, 32, 128, 128),
            "pool4": "max /2",
            "5a": googlenet(256, 160, 320, 32, 128, 128),
            "5b": googlenet(384, 192, 384, 48, 128, 128),
        },
        eps=None,
        dropout=0.4,
        auxiliary=("4a", "4d"),
        least=33,
    ),
    "bn_inception": Plan(
        parts={
            "stem": "7x7 64 /2, max /2, 1x1 64, 3x3 192, max /2",
            "3a": normed(64, 64, 64, 64, 96, "avg", 32),
            "3b": normed(64, 64, 96, 64, 96, "avg", 64),
            "3c": halved(128, 160, 64, 96),
            "4a": normed(224, 64, 96, 96, 128, "avg", 128),
            "4b": normed(192, 96, 128, 96, 128, "avg", 128),
            "4c": normed(160, 128, 160, 128, 160, "avg", 128),
            "4d": normed(96, 128, 192, 160, 192, "avg", 128),
            "4e": halved(128, 192, 192, 256),
            "5a": normed(352, 192, 320, 160, 224, "avg", 128),
            "5b": normed(352, 192, 320, 192, 224, "max", 128),
        },
        eps=1e-5,
        dropout=0.0,
    ),
    "inception_v3": Plan(
        parts={
            "stem": "3x3 32 /2 p0, 3x3 32 p0, 3x3 64, max /2 p0, 1x1 80, 3x3 192 p0, max /2 p0",
            "5a": mixed_a(32),
            "5b": mixed_a(64),
            "5c": mixed_a(64),
            "6a": MIXED_B,
            "6b": mixed_c(128),
            "6c": mixed_c(160),
            "6d": mixed_c(160),
            "6e": mixed_c(192),
            "7a": MIXED_D,
            "7b": MIXED_E,
            "7c": MIXED_E,
        },
        eps=1e-3,
        dropout=0.2,
        auxiliary=("6e",),
        least=75,
    ),
}


class Inception(nn.Module):
    """Inception networks: (N, 3, H, W) to (N, classes).

    A stem, units of parallel branches whose outputs are concatenated, global average pooling,
    dropout and a linear classifier. In training, the logits of any auxiliary classifiers follow
    those of the network: (logits, first, ...).

    Args:
        version: `googlenet` (Szegedy et al. 2015, Table 1), `bn_inception` (Ioffe and Szegedy 2015,
            Fig. 5) or `inception_v3` (Szegedy et al. 2016, Table 1, with the stem of the authors'
            code).
        init: initialisation: `fan_in` or `fan_out` (see `models.layers.init_weights`), or `xavier`
            as in BVLC's Caffe: uniform with variance 1 / fan_in, biases 0.2.

    Raises:
        ValueError: an argument is invalid; the message names it.
    """

    def __init__(self, version: str, classes: int = 1000, *, init: str = "fan_in"):
        super().__init__()
        if classes < 2:
            raise ValueError(f"classes={classes} is below 2")
        choose("version", version, tuple(VERSIONS))
        choose("init", init, (*INITS, "xavier"))
        plan = VERSIONS[version]
        self.least, width = plan.least, 3
        self.parts = nn.Sequential()
        for name, words in plan.parts.items():
            made, width = make_branches(words, width, plan.eps)
            self.parts.add_module(name, made)
            if name in plan.auxiliary:
                head = auxiliary(width, classes, plan.eps)
                self.parts.add_module(f"auxiliary{name}", head)
        self.pool, self.dropout = nn.AdaptiveAvgPool2d(1), nn.Dropout(plan.dropout)
        self.classifier = nn.Linear(width, classes)
        if init == "xavier":
            start_as_caffe(self)
        else:
            init_weights(self, init)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        extras = []
        for part in self.parts:
            if not isinstance(part, Auxiliary):
                x = part(x)
            elif self.training:
                extras.append(part(x))
        logits = self.classifier(self.dropout(self.pool(x).flatten(1)))
        return (logits, *extras) if extras else logits


class Branches(nn.ModuleList):
    """Parallel branches whose outputs are concatenated."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self], 1)


class Auxiliary(nn.Sequential):
    """A classifier of intermediate feature maps, for training: (N, C, H, W) to (N, classes)."""


class HalvingPool(nn.Module):
    """3x3 max pooling with stride 2, padded at the bottom and right only, as in Caffe:
    (N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2))."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.pad(x, (0, 2, 0, 2), value=-math.inf), 3, 2)


def make_branches(words: str, w_in: int, eps: float | None) -> tuple[nn.Module, int]:
    """Build branches separated by `|`, or a single branch; return it and its output width."""
    made = [make_layers(branch, w_in, eps) for branch in words.split(" | ")]
    if len(made) == 1:
        return made[0]
    return Branches(branch for branch, _ in made), sum(width for _, width in made)


def make_layers(words: str, w_in: int, eps: float | None) -> tuple[nn.Module, int]:
    """Build the layers of a branch; return them and their output width.

    `3x3 96` is a convolution that keeps the size, with normalisation and ReLU; a trailing `/2` is
    its stride, `p0` means no padding. `max` and `avg` pool over 3x3, `max /2` with stride 2, and
    `max /2 p0` without padding. `lrn` is local response normalisation over channels. `(... & ...)`
    forks.
    """
    layers, width = nn.Sequential(), w_in
    for word in words.split(", "):
        layer, width = make_layer(word, width, eps)
        layers.append(layer)
    return layers, width


def make_layer(word: str, width: int, eps: float | None) -> tuple[nn.Module, int]:
    """Build the layer of one word; return it and its output width."""
    if word.startswith("("):
        return make_branches(word[1:-1].replace(" & ", " | "), width, eps)
    if match := CONV.fullmatch(word):
        kernel, out = (int(match[1]), int(match[2])), int(match[3])
        border = (0, 0) if match[5] else (kernel[0] // 2, kernel[1] // 2)
        conv = nn.Conv2d(width, out, kernel, int(match[4] or 1), border, bias=eps is None)
        norms = [] if eps is None else [nn.BatchNorm2d(out, eps=eps)]
        return nn.Sequential(conv, *norms, nn.ReLU(inplace=True)), out
    pools = {
        "max": nn.MaxPool2d(3, 1, 1), "avg": nn.AvgPool2d(3, 1, 1), "max /2": HalvingPool(),
        "max /2 p0": nn.MaxPool2d(3, 2), "lrn": nn.LocalResponseNorm(5, 1e-4, 0.75),
    }  # fmt: skip
    return pools[word], width


def auxiliary(width: int, classes: int, eps: float | None) -> Auxiliary:
    """An auxiliary classifier: that of GoogLeNet (Szegedy et al. 2015, Section 5), or with
    normalisation (`eps`) that of Inception-v3, as in the authors' code."""
    first, out = make_layer("1x1 128", width, eps)
    side = 4 if eps is None else 5
    # Images of other sizes than the papers' give other numbers of means: bring them to side x side.
    pool = [nn.AvgPool2d(5, 3, ceil_mode=True), AverageTo(side)]
    if eps is None:
        hidden = [nn.Linear(out * side**2, 1024), nn.ReLU(inplace=True), nn.Dropout(0.7)]
        return Auxiliary(*pool, first, nn.Flatten(), *hidden, nn.Linear(1024, classes))
    second, out = make_layer("5x5 768 p0", out, eps)
    return Auxiliary(*pool, first, second, nn.Flatten(), nn.Linear(out, classes))


def start_as_caffe(network: Inception) -> None:
    """Initialise with Caffe's "xavier": biases 0.2, those of classifiers 0."""
    auxiliaries = [m[-1] for m in network.modules() if isinstance(m, Auxiliary)]
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = math.sqrt(3 / layer.weight[0].numel())
            nn.init.uniform_(layer.weight, -bound, bound)
            if layer.bias is not None:
                start = 0.0 if layer in (network.classifier, *auxiliaries) else BIAS
                nn.init.constant_(layer.bias, start)
