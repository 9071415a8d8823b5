"""What a residual unit carries past its branch, and how it makes the sizes agree."""

import torch.nn.functional as F
from torch import Tensor, nn

MATCHES = ("pad",)
SHORTCUTS = ("identity", "none")


class Pad(nn.Module):
    """Option A (He et al. 2015, Section 4.1): subsample, then fill new channels with zeros.

    Takes (N, w_in, H, W) to (N, w_out, ceil(H / stride), ceil(W / stride)); has no parameters.
    """

    def __init__(self, w_in: int, w_out: int, stride: int):
        super().__init__()
        self.extra, self.stride = w_out - w_in, stride

    def forward(self, x: Tensor) -> Tensor:
        # Pooling over one pixel is subsampling, with a cheaper backward pass than slicing.
        if self.stride > 1:
            x = F.avg_pool2d(x, 1, self.stride)
        return F.pad(x, (0, 0, 0, 0, 0, self.extra))


class Identity(nn.Module):
    """x + F(x): He et al. 2015, eq. 1."""

    def forward(self, x: Tensor, fx: Tensor) -> Tensor:
        return x + fx


def make_match(match: str, w_in: int, w_out: int, stride: int) -> nn.Module:
    """The map that brings x to the size of F(x): nothing where the sizes agree already.

    Raises:
        ValueError: `match` is unknown.
    """
    if match not in MATCHES:
        raise ValueError(f"match={match!r} is unknown; choose one of {', '.join(MATCHES)}")
    if w_in == w_out and stride == 1:
        return nn.Identity()
    return Pad(w_in, w_out, stride)


def make_merge(shortcut: str) -> nn.Module | None:
    """The rule that joins x and F(x), or None for a plain network, where x is dropped.

    Raises:
        ValueError: `shortcut` is unknown.
    """
    if shortcut not in SHORTCUTS:
        raise ValueError(f"shortcut={shortcut!r} is unknown; choose one of {', '.join(SHORTCUTS)}")
    return Identity() if shortcut == "identity" else None
