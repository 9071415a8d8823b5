"""The residual unit: after(shortcut(x, branch(x)))."""

from collections.abc import Callable

from torch import Tensor, nn

from models.layers import choose, conv1x1, conv3x3, spell
from models.shortcuts import ShortcutRule
from models.stochastic_depth import StochasticDepth

# An activation order: the layers of each convolution (c), with BN (n) and ReLU (a), and which of
# the last ones come after the addition.
ORDERS = {
    "original": ("cna", "a"),  # He et al. 2015, Fig. 2; He et al. 2016, Fig. 4(a)
    "bn_after_add": ("cna", "na"),  # He et al. 2016, Fig. 4(b)
    "relu_before_add": ("cna", ""),  # Fig. 4(c)
    "relu_preact": ("acn", ""),  # Fig. 4(d)
    "full_preact": ("nac", ""),  # Fig. 4(e)
}
# Layers of a unit: "single" skips one (He et al. 2016, Table 3); He et al. 2015, Fig. 5.
UNITS = {"single": 1, "basic": 2, "bottleneck": 3}
EXPANSION = 4  # a bottleneck's last convolution is four times as wide as its others
# Where the leading activation of a pre-activation unit is: in the branch, shared before x splits
# into branch and shortcut, or nowhere because x is already activated.
LEADS = ("branch", "shared", "none")
STRIDES = ("1x1", "3x3")


class ResidualUnit(nn.Module):
    """Residual branch and shortcut (He et al. 2015, Section 3; He et al. 2016, Section 4).

    Maps (N, w_in, H, W) to (N, w_out, ceil(H / stride), ceil(W / stride)). With the shortcut
    `none`, it is the corresponding layers of a plain network.

    Args:
        unit: `basic`, `bottleneck` or `single`.
        order: activation order, a key of `ORDERS`.
        lead: place of a leading activation: `branch`, `shared` or `none`.
        shortcut: rule that builds the shortcut.
        survival: probability that the branch survives a mini-batch (Huang et al. 2016).
        stride_on: which convolution of a bottleneck has the stride: the first `1x1`, as in the
            original (according to the README of fb.resnet.torch; the paper does not say), or the
            `3x3`, as in fb.resnet.torch and torchvision.
        bias: whether the branch's convolutions have biases, as in the code of Huang et al. 2016.
        dropout: rate before the last convolution (Zagoruyko and Komodakis 2016, Fig. 1(d)).
    """

    def __init__(
        self,
        w_in: int,
        w_out: int,
        stride: int = 1,
        *,
        unit: str = "basic",
        order: str = "original",
        lead: str = "branch",
        shortcut: ShortcutRule = ShortcutRule(),  # noqa: B008  it is frozen
        survival: float = 1.0,
        stride_on: str = "1x1",
        bias: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        choose("lead", lead, LEADS)
        if w_out < w_in:
            raise ValueError(f"w_out={w_out} is below w_in={w_in}; residual units never narrow")
        if survival < 1 and shortcut.kind == "none":
            raise ValueError(f"survival={survival} needs a shortcut; a plain network has none")
        convs = _convs(unit, w_in, w_out, stride, stride_on, bias)
        leading, tail = leading_layers(order), ORDERS[order][1]
        word = (ORDERS[order][0] * len(convs)).removesuffix(tail)
        if lead != "branch":
            word = word.removeprefix(leading)
        if dropout:
            last = word.rindex("c")
            word = f"{word[:last]}d{word[last:]}"
        self.shared = spell(leading if lead == "shared" else "", w_in)
        branch = spell(word, w_in, convs, dropout)
        self.branch = StochasticDepth(branch, survival) if survival < 1 else branch
        self.shortcut = shortcut.build(w_in, w_out, stride)
        self.after = spell(tail, w_out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.shared(x)
        return self.after(self.shortcut(x, self.branch(x)))


def leading_layers(order: str) -> str:
    """Layer word before the first convolution of a unit; empty for post-activation orders.

    Raises:
        ValueError: the order is unknown.
    """
    word, _ = ORDERS[choose("order", order, tuple(ORDERS))]
    return word[: word.index("c")]


def _convs(
    unit: str, w_in: int, w_out: int, stride: int, stride_on: str, bias: bool
) -> list[Callable[[], nn.Conv2d]]:
    """Factories of the convolutions of a unit, first to last."""
    choose("unit", unit, tuple(UNITS))
    choose("stride_on", stride_on, STRIDES)
    if unit == "bottleneck":
        width = w_out // EXPANSION
        first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
        return [
            lambda: conv1x1(w_in, width, first, bias=bias),
            lambda: conv3x3(width, width, second, bias=bias),
            lambda: conv1x1(width, w_out, bias=bias),
        ]
    first_conv = [lambda: conv3x3(w_in, w_out, stride, bias=bias)]
    return first_conv + [lambda: conv3x3(w_out, w_out, bias=bias)] * (UNITS[unit] - 1)
