"""The shortcuts of He et al. 2015 and 2016.

A shortcut combines the unit's input x with the output of its residual branch F(x). `match` brings x
to the shape of F(x) where they differ.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import choose, conv1x1

KINDS = ("identity", "none", "scale", "exclusive_gate", "shortcut_gate", "dropout")
MATCHES = ("pad", "pool", "project", "project_all")


@dataclass(frozen=True)
class ShortcutRule:
    """Specification of a network's shortcuts.

    Attributes:
        kind: `identity`; `none` for a plain network; `scale`, `exclusive_gate`, `shortcut_gate` and
            `dropout` are those of He et al. 2016, Section 3.1.
        match: how x is brought to the shape of F(x) (He et al. 2015, Sections 3.3 and 4.1): `pad`
            (option A), `pool` (its form in Huang et al. 2016), `project` (option B: a 1x1
            convolution where shapes differ) or `project_all` (option C: one in every unit).
        projection_norm: whether normalisation follows a projection.
        scale_shortcut, scale_branch: factors of `scale`.
        gate_bias: initial bias of the gates.
        gate_norm: whether normalisation follows a gate's convolution; its shift is then the bias.
        dropout: rate of `dropout`.
    """

    kind: str = "identity"
    match: str = "pad"
    projection_norm: bool = True
    scale_shortcut: float = 1.0
    scale_branch: float = 1.0
    gate_bias: float = 0.0
    gate_norm: bool = False
    dropout: float = 0.5

    def build(self, w_in: int, w_out: int, stride: int) -> nn.Module:
        """Build the shortcut of one unit: a module that takes x and F(x).

        Raises:
            ValueError: the rule has an invalid value; the message names it.
        """
        choose("shortcut", self.kind, KINDS)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"shortcut_dropout={self.dropout} is not in [0, 1)")
        match = self.build_match(w_in, w_out, stride)
        if self.kind == "none":
            return NoShortcut()
        if self.kind == "scale":
            return Scale(match, self.scale_shortcut, self.scale_branch)
        if self.kind == "dropout":
            return DropoutShortcut(match, self.dropout)
        if self.kind == "identity":
            return Identity(match)
        gate = Gate(w_in, w_out, stride, bias=self.gate_bias, normed=self.gate_norm)
        return Gated(match, gate, exclusive=self.kind == "exclusive_gate")

    def build_match(self, w_in: int, w_out: int, stride: int) -> nn.Module:
        """Build the module that brings x to the shape of F(x)."""
        choose("match", self.match, MATCHES)
        if self.match != "project_all" and w_in == w_out and stride == 1:
            return nn.Identity()
        if self.match in ("pad", "pool"):
            return Pad(w_in, w_out, stride, window=stride if self.match == "pool" else 1)
        projection = conv1x1(w_in, w_out, stride)
        if not self.projection_norm:
            return projection
        return nn.Sequential(projection, nn.BatchNorm2d(w_out))


class Identity(nn.Module):
    """x + F(x): He et al. 2015, eq. 1 (eq. 2 with a projection as the match)."""

    def __init__(self, match: nn.Module):
        super().__init__()
        self.match = match

    def forward(self, x: Tensor, fx: Tensor) -> Tensor:
        return self.match(x) + fx


class NoShortcut(nn.Module):
    """F(x): a plain network (He et al. 2015, Section 3.3)."""

    def forward(self, x: Tensor, fx: Tensor) -> Tensor:
        return fx


class Scale(nn.Module):
    """a x + b F(x): He et al. 2016, Section 3.1, "constant scaling"."""

    def __init__(self, match: nn.Module, shortcut: float, branch: float):
        super().__init__()
        self.match, self.shortcut, self.branch = match, shortcut, branch

    def forward(self, x: Tensor, fx: Tensor) -> Tensor:
        return self.shortcut * self.match(x) + self.branch * fx


class DropoutShortcut(nn.Module):
    """dropout(x) + F(x): He et al. 2016, Section 3.1 (kept values are scaled up, as in Caffe)."""

    def __init__(self, match: nn.Module, rate: float):
        super().__init__()
        self.match, self.dropout = match, nn.Dropout(rate)

    def forward(self, x: Tensor, fx: Tensor) -> Tensor:
        return self.dropout(self.match(x)) + fx


class Gated(nn.Module):
    """(1 - g) x + g F(x) where `exclusive`, else (1 - g) x + F(x): He et al. 2016, Section 3.1."""

    def __init__(self, match: nn.Module, gate: "Gate", *, exclusive: bool):
        super().__init__()
        self.match, self.gate, self.exclusive = match, gate, exclusive

    def forward(self, x: Tensor, fx: Tensor) -> Tensor:
        g = self.gate(x)
        return (1 - g) * self.match(x) + (g * fx if self.exclusive else fx)


class Gate(nn.Module):
    """g(x) = sigmoid(W x + b), a 1x1 convolution with one gate per channel and pixel of F(x).

    Maps (N, w_in, H, W) to (N, w_out, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, w_in: int, w_out: int, stride: int, *, bias: float, normed: bool):
        super().__init__()
        self.conv = conv1x1(w_in, w_out, stride, bias=not normed)
        self.norm = nn.BatchNorm2d(w_out) if normed else nn.Identity()
        nn.init.constant_((self.norm if normed else self.conv).bias, bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.norm(self.conv(x)))


class Pad(nn.Module):
    """Option A (He et al. 2015, Section 4.1): subsample, then pad with zero channels.

    Maps (N, w_in, H, W) to (N, w_out, ceil(H / stride), ceil(W / stride)) without parameters. Each
    output pixel is the mean of a window: one pixel, or stride x stride in Huang et al. 2016.
    """

    def __init__(self, w_in: int, w_out: int, stride: int, window: int):
        super().__init__()
        self.extra, self.stride, self.window = w_out - w_in, stride, window

    def forward(self, x: Tensor) -> Tensor:
        # Pooling over one pixel is subsampling, with a cheaper backward pass than slicing.
        if self.stride > 1:
            x = F.avg_pool2d(x, self.window, self.stride, ceil_mode=True)
        return F.pad(x, (0, 0, 0, 0, 0, self.extra))
