"""VGG networks (Simonyan and Zisserman 2015) for ImageNet."""

from functools import partial

from torch import Tensor, nn

from models.fully_connected import FullyConnected, start_weights
from models.layers import AverageTo
from models.stack import spell_stack

WIDTHS = (64, 128, 256, 512, 512)
GROUPS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # 3x3 convolutions: Table 1, columns D and E
WINDOW = 7  # height and width of the last feature maps for 224-pixel images


class VGG(nn.Module):
    """VGG-16 and -19 (Simonyan and Zisserman 2015, Table 1, D and E): (N, 3, H, W) to (N, classes).

    Five groups of 3x3 convolutions, each followed by max pooling, and three fully connected layers,
    which slide over the feature maps of images larger than 224 pixels (Section 3.2). Smaller maps
    are resized to 7x7 by adaptive average pooling.

    Args:
        depth: 16 or 19.
        init: variance rule of all layers but the classifier, `fan_in` or `fan_out`.
    """

    def __init__(self, depth: int, classes: int = 1000, *, init: str = "fan_in"):
        super().__init__()
        if classes < 2:
            raise ValueError(f"classes={classes} is below 2")
        if depth not in GROUPS:
            raise ValueError(f"depth={depth} is not one of {', '.join(map(str, GROUPS))}")
        groups = zip(WIDTHS, GROUPS[depth], strict=True)
        words = " ".join(f"3x{width} r " * count + "m2" for width, count in groups)
        self.features = spell_stack(words, classes, scaled=True)
        self.head = FullyConnected(
            WIDTHS[-1] * WINDOW**2, classes, window=WINDOW, pool=AverageTo(WINDOW),
            act=partial(nn.ReLU, inplace=True),
        )  # fmt: skip
        start_weights(self, init)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))
