"""The residual unit: after(merge(match(x), branch(x)))."""

from torch import Tensor, nn

from models.layers import conv3x3, spell
from models.shortcuts import make_match, make_merge

# An activation order is a layer word, spelled once per convolution, and the tail of the last word,
# which moves behind the addition.
ORDERS = {
    "original": ("cna", "a"),  # He et al. 2015, Fig. 2; He et al. 2016, Fig. 4(a)
}


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2015, Section 3.1 and Fig. 2).

    Takes (N, w_in, H, W) to (N, w_out, ceil(H / stride), ceil(W / stride)). With
    `shortcut="none"` it is the two plain layers of the plain networks.

    Args:
        order: activation order, a key of `ORDERS`.
        shortcut: `identity`, or `none` for a plain network.
        match: how x is brought to the size of the branch; `pad` is the paper's option A.

    Raises:
        ValueError: an argument is unknown, or the unit would narrow.
    """

    def __init__(
        self,
        w_in: int,
        w_out: int,
        stride: int = 1,
        *,
        order: str = "original",
        shortcut: str = "identity",
        match: str = "pad",
    ):
        super().__init__()
        if order not in ORDERS:
            raise ValueError(f"order={order!r} is unknown; choose one of {', '.join(ORDERS)}")
        if w_out < w_in:
            raise ValueError(f"w_out={w_out} is below w_in={w_in}; residual units never narrow")
        word, tail = ORDERS[order]
        convs = [lambda: conv3x3(w_in, w_out, stride), lambda: conv3x3(w_out, w_out)]
        self.branch = spell((word * len(convs)).removesuffix(tail), convs, w_out)
        self.merge = make_merge(shortcut)
        self.match = make_match(match, w_in, w_out, stride) if self.merge else None
        self.after = spell(tail, [], w_out)

    def forward(self, x: Tensor) -> Tensor:
        fx = self.branch(x)
        if self.merge is not None:
            fx = self.merge(self.match(x), fx)  # type: ignore[misc]
        return self.after(fx)
