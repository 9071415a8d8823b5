"""Fully connected layers on feature maps of any size: the heads of VGG and PReLU-net."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from models.layers import init_weights

WIDTH, DROPOUT = 4096, 0.5  # in both hidden layers (Krizhevsky et al. 2012, Section 3.5)


class FullyConnected(nn.Module):
    """Two hidden layers with dropout and a classifier: (N, w_in, H, W) to (N, classes).

    They take windows of a fixed size. On larger feature maps, the layers slide over all windows as
    convolutions would, and the scores are averaged (Simonyan and Zisserman 2015, Section 3.2; He et
    al. 2015, "Delving deep into rectifiers", Section 3). A smaller map is a single window.

    Args:
        features: number of features that `pool` returns per window.
        window: height and width of a window.
        pool: maps a window (N, w_in, h, w) of any size to its features.
        act: creates the activation of a hidden layer.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        window: int,
        pool: nn.Module,
        act: Callable[[], nn.Module],
    ):
        super().__init__()
        self.window, self.pool = window, pool
        self.layers = nn.Sequential(
            nn.Linear(features, WIDTH), act(), nn.Dropout(DROPOUT),
            nn.Linear(WIDTH, WIDTH), act(), nn.Dropout(DROPOUT),
        )  # fmt: skip
        self.classifier = nn.Linear(WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        height, width = (min(self.window, side) for side in x.shape[2:])
        windows = x.unfold(2, height, 1).unfold(3, width, 1)
        images, channels, rows, columns = windows.shape[:4]
        windows = windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, channels, height, width)
        scores = self.classifier(self.layers(self.pool(windows).flatten(1)))
        return scores.view(images, rows * columns, -1).mean(1)


class PyramidPool(nn.Module):
    """Max pooling over several grids of bins, concatenated (He et al. 2014, "Spatial pyramid
    pooling"): (N, C, H, W) to (N, C x all bins).

    Args:
        grids: bins along a side, for each grid.
    """

    def __init__(self, grids: Sequence[int]):
        super().__init__()
        self.grids = tuple(grids)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([maxima(maxima(x, n, 2), n, 3).flatten(1) for n in self.grids], 1)


def maxima(x: Tensor, bins: int, dim: int) -> Tensor:
    """Maxima over bins along a dimension: adaptive max pooling, whose own backward pass on a GPU is
    not deterministic."""
    size = x.shape[dim]
    edges = [(k * size // bins, -(-(k + 1) * size // bins)) for k in range(bins)]
    return torch.stack([x.narrow(dim, a, b - a).amax(dim) for a, b in edges], dim)


def start_weights(network: nn.Module, init: str, slope: float = 0.0) -> None:
    """Initialise a network without normalisation: all layers but the classifier normal with
    variance 2 / fan / (1 + slope^2) (He et al. 2015, "Delving deep into rectifiers", eq. 15),
    biases 0, the classifier as in `models.layers.init_weights`.

    Args:
        init: `fan_in` or `fan_out`.
        slope: slope of the activation below 0.

    Raises:
        ValueError: the rule is unknown.
    """
    init_weights(network, init)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for layer in layers[:-1]:
        nn.init.kaiming_normal_(layer.weight, slope, mode=init)  # type: ignore[arg-type]
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
