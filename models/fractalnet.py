"""FractalNet (Larsson et al. 2017) for CIFAR and SVHN."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import conv3x3

STATISTICS = 0.01  # BN momentum, small because each mini-batch sees another part of the network


class DropPath(nn.Module):
    """Weights of the columns in each join, drawn for every mini-batch in training (Larsson et al.
    2017, "Regularization via drop-path"); None, meaning the mean of all, in evaluation.

    Local: a join drops each of its inputs with probability `rate`; if it would drop all of them,
    it keeps one drawn uniformly. Global, for a fraction of the mini-batches: all joins keep the
    same uniformly drawn column; joins without that column keep all their inputs. Kept inputs are
    averaged.

    `forward` draws from PyTorch's default generator on the CPU.

    Args:
        joined: how many columns each join of the network joins, always the deepest ones.
        columns: number of columns of the network.
        rate: drop probability in local drop-path.
        share: fraction of the mini-batches with global drop-path.
    """

    def __init__(self, joined: Sequence[int], columns: int, rate: float, share: float):
        super().__init__()
        self.rate, self.share = rate, share
        place = torch.arange(columns, device="cpu")
        self.takes = place >= columns - torch.tensor(joined, device="cpu")[:, None]

    def draw(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw the weights of all columns in all joins, float32 (joins, columns); rows sum to 1."""
        takes, columns = self.takes, self.takes.shape[1]
        kind, column = torch.rand(2, generator=generator, device="cpu")
        kept, order = torch.rand(2, *takes.shape, generator=generator, device="cpu")
        if kind < self.share:
            keep = F.one_hot((column * columns).long(), columns).bool() & takes
            otherwise = takes
        else:
            keep = (kept >= self.rate) & takes
            otherwise = F.one_hot(order.where(takes, -1).argmax(1), columns).bool()
        keep = keep.where(keep.any(1, keepdim=True), otherwise)
        return keep / keep.sum(1, keepdim=True)

    def forward(self) -> Tensor | None:
        return self.draw() if self.training else None


class FractalBlock(nn.Module):
    """A fractal block with pooling: (N, w_in, H, W) to (N, w_out, H / 2, W / 2).

    f_1 = conv and f_c+1 = join(f_c after f_c, conv) (Larsson et al. 2017, eq. 1), so that column c,
    counted from 0, has 2^c layers. Consecutive joins are merged into one. Each column is pooled
    before the last join, as in the authors' generator.
    """

    def __init__(self, w_in: int, w_out: int, columns: int, dropout: float):
        super().__init__()
        self.columns = nn.ModuleList(
            nn.Sequential(*(make_layer(w_out if n else w_in, w_out, dropout) for n in range(2**c)))
            for c in range(columns)
        )
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor, weights: Tensor | None) -> Tensor:
        """Run and join the columns, with `weights` (joins, columns) or by their mean if None."""
        levels, columns = 2 ** (len(self.columns) - 1), len(self.columns)
        maps, joins = [x] * columns, iter(weights if weights is not None else ())
        for level in range(levels):
            first = columns
            for number, column in enumerate(self.columns):
                place, rest = divmod(level + 1, levels // 2**number)
                if rest == 0:  # a layer of this column ends here
                    first = min(first, number)
                    maps[number] = column[place - 1](maps[number])  # type: ignore[index]
            if level == levels - 1:
                maps = [self.pool(map) for map in maps]
            if columns - first > 1:
                joined = join(maps[first:], None if weights is None else next(joins)[first:])
                maps[first:] = [joined] * (columns - first)
        return maps[0]


class FractalNet(nn.Module):
    """A FractalNet for CIFAR: (N, 3, H, W) to (N, classes).

    One block per width, each halving the feature maps; global average pooling and a linear
    classifier at the end.

    Args:
        depth: layers on the longest path: 2^(columns - 1) per block, and the classifier. Depth 21
            with five blocks means three columns.
        widths: output channels of the blocks.
        dropout: rate in the last block; it rises linearly from 0 in the first (Larsson et al. 2017,
            Section 4: 0 to 40 %).
        drop_path: rate of local drop-path; 0 disables global drop-path, too.
        global_share: fraction of the mini-batches with global drop-path (a single column).
    """

    def __init__(
        self,
        depth: int = 21,
        classes: int = 10,
        *,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        dropout: float = 0.0,
        drop_path: float = 0.0,
        global_share: float = 0.5,
    ):
        super().__init__()
        if classes < 2:
            raise ValueError(f"classes={classes} is below 2")
        if not widths or min(widths) < 1:
            raise ValueError(f"widths={list(widths)} are not positive block widths")
        for name, rate in (("dropout", dropout), ("drop_path", drop_path)):
            if not 0 <= rate < 1:
                raise ValueError(f"{name}={rate} is not in [0, 1)")
        if not 0 <= global_share <= 1:
            raise ValueError(f"global_share={global_share} is not in [0, 1]")
        columns, blocks = columns_of(depth, len(widths)), len(widths)
        self.blocks, w_in = nn.ModuleList(), 3
        for number, width in enumerate(widths):
            rate = dropout * number / max(blocks - 1, 1)
            self.blocks.append(FractalBlock(w_in, width, columns, rate))
            w_in = width
        joined = joins_of(columns)
        self.drop_path = None
        if drop_path and joined:
            self.drop_path = DropPath(joined * blocks, columns, drop_path, global_share)
        self.classifier = nn.Linear(w_in, classes)
        nn.init.zeros_(self.classifier.bias)
        for parameter in self.parameters():
            if parameter.ndim > 1:  # Caffe's "xavier": uniform within sqrt(3 / fan_in)
                nn.init.kaiming_uniform_(parameter, nonlinearity="linear")

    def forward(self, x: Tensor) -> Tensor:
        weights = None if self.drop_path is None else self.drop_path()
        rows = [None] * len(self.blocks) if weights is None else weights.chunk(len(self.blocks))
        for block, row in zip(self.blocks, rows, strict=True):
            x = block(x, row)
        return self.classifier(x.mean((2, 3)))


def make_layer(w_in: int, w_out: int, dropout: float) -> nn.Sequential:
    """3x3 convolution with bias, dropout, normalisation without scale and shift, ReLU."""
    layers = [conv3x3(w_in, w_out, bias=True)]
    dropped = [nn.Dropout(dropout)] if dropout else []
    norm = nn.BatchNorm2d(w_out, eps=1e-5, momentum=STATISTICS, affine=False)
    return nn.Sequential(*layers, *dropped, norm, nn.ReLU(inplace=True))


def join(maps: Sequence[Tensor], weights: Tensor | None) -> Tensor:
    """Mean of several feature maps, or their weighted sum."""
    if weights is None:
        return sum(maps[1:], maps[0]) / len(maps)
    return sum((w * x for w, x in zip(weights[1:], maps[1:], strict=True)), weights[0] * maps[0])


def joins_of(columns: int) -> list[int]:
    """Number of columns that each join of a block joins, in order."""
    levels = range(1, 2 ** (columns - 1) + 1)
    ending = [sum(level % 2**k == 0 for k in range(columns)) for level in levels]
    return [count for count in ending if count > 1]


def columns_of(depth: int, blocks: int) -> int:
    """Number of columns of a network of the given depth.

    Raises:
        ValueError: no number of columns gives that depth.
    """
    levels, rest = divmod(depth - 1, blocks)
    if rest or levels < 1 or levels & (levels - 1):
        least = [blocks * 2**k + 1 for k in range(4)]
        known = ", ".join(map(str, least))
        raise ValueError(
            f"depth={depth} is not a fractal of {blocks} blocks; valid depths are {known} ..."
        )
    return levels.bit_length()
