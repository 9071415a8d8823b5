"""Networks with parametric rectifiers (He et al. 2015, "Delving deep into rectifiers")."""

from collections import OrderedDict

from torch import Tensor, nn

from models.fully_connected import WIDTH, FullyConnected, PyramidPool, start_weights
from models.layers import choose, conv3x3

STEM = 96
WIDTHS = {"A": (256, 512, 512), "B": (256, 512, 512), "C": (384, 768, 896)}
LAYERS = {"A": 5, "B": 6, "C": 6}  # 3x3 convolutions in each of the three stages
GRIDS = (7, 3, 2, 1)
WINDOW = 14  # height and width of the last feature maps for 224-pixel images
SLOPE = 0.25  # initial slope of all rectifiers (Section 2.1)


class PReLUNet(nn.Module):
    """PReLU-net A, B and C (He et al. 2015, "Delving deep", Table 3): (N, 3, H, W) to (N, classes).

    A 7x7 convolution, three stages of 3x3 convolutions with max pooling before each, spatial
    pyramid pooling and three fully connected layers. Rectifiers learn a slope per channel. On
    images larger than 224 pixels, the pyramid pooling and the fully connected layers slide over
    14x14 windows of the last feature map (Section 3, "Testing").

    Args:
        version: `A`, `B` or `C`.
        init: variance rule of all layers but the classifier, `fan_in` or `fan_out` (eq. 14).
    """

    def __init__(self, version: str, classes: int = 1000, *, init: str = "fan_out"):
        super().__init__()
        if classes < 2:
            raise ValueError(f"classes={classes} is below 2")
        choose("version", version, tuple(WIDTHS))
        stem = nn.Conv2d(3, STEM, 7, 2, padding=3)
        self.stem = nn.Sequential(OrderedDict(conv1=stem, act1=nn.PReLU(STEM, SLOPE)))
        self.stages, w_in = nn.Sequential(), STEM
        for width in WIDTHS[version]:
            stage = nn.Sequential(nn.MaxPool2d(2, ceil_mode=True))
            for _ in range(LAYERS[version]):
                stage.extend([conv3x3(w_in, width, bias=True), nn.PReLU(width, SLOPE)])
                w_in = width
            self.stages.append(stage)
        features = w_in * sum(side**2 for side in GRIDS)
        self.head = FullyConnected(
            features, classes, window=WINDOW, pool=PyramidPool(GRIDS),
            act=lambda: nn.PReLU(WIDTH, SLOPE),
        )  # fmt: skip
        start_weights(self, init, SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stages(self.stem(x)))
