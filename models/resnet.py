"""Plain, residual and pre-activation networks (He et al. 2015 and 2016), and wide ones (Zagoruyko
and Komodakis 2016): CIFAR and ImageNet."""

from torch import Tensor, nn

from models.layers import choose, conv3x3, imagenet_stem, init_weights, spell
from models.residual import EXPANSION, UNITS, ResidualUnit, leading_layers
from models.shortcuts import ShortcutRule
from models.stochastic_depth import survival_probabilities

WIDTHS = {"cifar": (16, 32, 64), "imagenet": (64, 128, 256, 512)}
# Units per stage: He et al. 2015, Table 1; ResNet-200: He et al. 2016, Section 5.
IMAGENET = {
    ("basic", 18): (2, 2, 2, 2),
    ("basic", 34): (3, 4, 6, 3),
    ("bottleneck", 50): (3, 4, 6, 3),
    ("bottleneck", 101): (3, 4, 23, 3),
    ("bottleneck", 152): (3, 8, 36, 3),
    ("bottleneck", 200): (3, 24, 36, 3),
}
SHARED = ("stages", "first")


class ResNet(nn.Module):
    """A residual network or its plain counterpart: (N, 3, H, W) to (N, classes).

    For CIFAR (He et al. 2015, Section 4.2): a 3x3 convolution and three stages of n units with 16,
    32 and 64 channels. For ImageNet (Table 1): a 7x7 convolution with stride 2, max pooling, and
    four stages with 64 to 512 channels. Bottleneck units output four times as many channels. Every
    stage but the first begins with stride 2; global average pooling and a linear classifier follow.

    A wide network (Zagoruyko and Komodakis 2016, Table 1) has `widen` times the channels after the
    first convolution. Its paper counts the three projections as layers, but not the classifier.

    A pre-activation network (He et al. 2016, Section 4 and appendix) has its first activation right
    after the first convolution, before the first unit splits, and one more after the last unit.

    Args:
        depth: weighted layers. CIFAR: 6n + 2 (basic), 9n + 2 (bottleneck), 3n + 2 (single); two
            more for wide networks. ImageNet: 18, 34 (basic), 50, 101, 152, 200 (bottleneck).
        images: `cifar` or `imagenet`.
        unit: `basic`, `bottleneck`, or `single` (one-layer skips; CIFAR only).
        order: activation order of every unit: see `models.residual.ORDERS`.
        shortcut, match, projection_norm, scale_shortcut, scale_branch, gate_bias, gate_norm,
            shortcut_dropout: see `models.shortcuts.ShortcutRule`.
        share_preact: which pre-activation units activate x before they split: the first of every
            stage, as in fb.resnet.torch (`stages`), or only the very first, as the paper says
            (`first`).
        survival: survival probability of the last unit (Huang et al. 2016); 1 is constant depth.
        survival_rule: rule for the other units, `linear` or `uniform`.
        stride_on: which convolution of a bottleneck has the stride, `1x1` or `3x3`.
        bias: whether all convolutions have biases, as in the code of Huang et al. 2016.
        init: variance rule of the convolutions, `fan_in` or `fan_out`.
        norm_init: initial scales of the normalisation, `one` or `uniform`.
        widen: width factor k of every stage (CIFAR only).
        dropout: rate before the last convolution of a unit.
    """

    def __init__(
        self,
        depth: int,
        classes: int = 10,
        *,
        images: str = "cifar",
        unit: str = "basic",
        order: str = "original",
        shortcut: str = "identity",
        match: str = "pad",
        projection_norm: bool = True,
        scale_shortcut: float = 1.0,
        scale_branch: float = 1.0,
        gate_bias: float = 0.0,
        gate_norm: bool = False,
        shortcut_dropout: float = 0.5,
        share_preact: str = "stages",
        survival: float = 1.0,
        survival_rule: str = "linear",
        stride_on: str = "1x1",
        bias: bool = False,
        init: str = "fan_in",
        norm_init: str = "one",
        widen: int = 1,
        dropout: float = 0.0,
    ):
        super().__init__()
        if classes < 2:
            raise ValueError(f"classes={classes} is below 2")
        choose("share_preact", share_preact, SHARED)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout} is not in [0, 1)")
        if survival < 1 and shortcut == "none":
            raise ValueError(f"survival={survival} needs a shortcut; a plain network has none")
        rule = ShortcutRule(
            shortcut, match, projection_norm, scale_shortcut, scale_branch,
            gate_bias, gate_norm, shortcut_dropout,
        )  # fmt: skip
        units = units_per_stage(depth, images, unit, widen)
        survivals = iter(survival_probabilities(sum(units), survival, survival_rule))
        w_in = WIDTHS[images][0]
        if images == "cifar":
            self.stem = spell("cna", 3, [lambda: conv3x3(3, w_in, bias=bias)])
        else:
            self.stem = imagenet_stem(w_in, bias=bias)
        self.stages = nn.Sequential()
        for stage, (count, width) in enumerate(zip(units, WIDTHS[images], strict=True)):
            w_out = width * widen * (EXPANSION if unit == "bottleneck" else 1)
            made = nn.Sequential()
            for number in range(count):
                stride = 2 if stage > 0 and number == 0 else 1
                lead = lead_of(stage, number, share_preact)
                made.append(
                    ResidualUnit(
                        w_in, w_out, stride, unit=unit, order=order, lead=lead, shortcut=rule,
                        survival=next(survivals), stride_on=stride_on, bias=bias, dropout=dropout,
                    )
                )  # fmt: skip
                w_in = w_out
            self.stages.append(made)
        self.activation = spell(leading_layers(order), w_in)  # empty unless pre-activation
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(w_in, classes)
        init_weights(self, init, norm_init)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.stages(self.stem(x)))
        return self.classifier(self.pool(x).flatten(1))


def units_per_stage(depth: int, images: str, unit: str, widen: int = 1) -> tuple[int, ...]:
    """Number of units in each stage.

    Raises:
        ValueError: there is no such network; the message names the valid or nearest depths.
    """
    choose("images", images, tuple(WIDTHS))
    choose("unit", unit, tuple(UNITS))
    if widen < 1:
        raise ValueError(f"widen={widen} is below 1")
    if images == "imagenet":
        if widen > 1:
            raise ValueError(f"widen={widen} is for images=cifar; the networks for ImageNet have 1")
        if (unit, depth) not in IMAGENET:
            known = ", ".join(f"{depth} ({unit})" for unit, depth in IMAGENET)
            raise ValueError(f"depth={depth} with unit={unit} is not one of {known}")
        return IMAGENET[unit, depth]
    period, rest = 3 * UNITS[unit], 2 if widen == 1 else 4
    if depth < period + rest or (depth - rest) % period:
        near = period * max(1, round((depth - rest) / period)) + rest
        raise ValueError(
            f"depth={depth} is not {period}n + {rest}; "
            f"the nearest valid depth is {near} (unit={unit})"
        )
    return ((depth - rest) // period,) * 3


def lead_of(stage: int, number: int, share_preact: str) -> str:
    """Place of a pre-activation unit's leading activation; for the very first unit, it is in the
    stem. Units of other orders have none and ignore it."""
    if number > 0:
        return "branch"
    if stage == 0:
        return "none"
    return "shared" if share_preact == "stages" else "branch"
