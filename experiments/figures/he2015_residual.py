"""What the figures of He et al. 2015 show, panel by panel."""

from collections.abc import Sequence

from experiments.figures.panels import BLUE, GREEN, ORANGE, PINK, RED, SKY, Curve, Panel
from experiments.figures.training import Curves
from experiments.figures.weights import Responses

BY_DEPTH = {20: ORANGE, 32: SKY, 44: GREEN, 56: RED, 110: BLUE, 1202: PINK}
RESNET, PLAIN = "he2015_residual/table6/resnet", "he2015_residual/fig6/plain"
ON_IMAGENET = "he2015_residual/table2/"


def _by_depth(prefix: str, label: str, depths: Sequence[int]) -> tuple[Curve, ...]:
    return tuple(Curve(f"{prefix}{d}", f"{label}-{d}", BY_DEPTH[d]) for d in depths)


FIGURES: dict[str, tuple[Panel, ...]] = {
    # The paper shows the error on the training and on the validation set, from 20 to 60 %.
    "he2015_residual/fig4": tuple(
        Curves(
            title,
            tuple(
                Curve(f"{ON_IMAGENET}{kind}{depth}", f"{label}-{depth}", colour, "imagenet")
                for depth, colour in ((18, SKY), (34, RED))
            ),
            limit=60.0,
            floor=20.0,
        )
        for title, kind, label in (
            ("Plain networks", "plain", "plain"),
            ("Residual networks", "resnet", "ResNet"),
        )
    ),
    # Plain-110 ends above 60 %, and the paper does not show it either.
    "he2015_residual/fig6": (
        Curves("Plain networks", _by_depth(PLAIN, "plain", (20, 32, 44, 56))),
        Curves("Residual networks", _by_depth(RESNET, "ResNet", (20, 32, 44, 56, 110))),
        Curves("110 and 1202 layers", _by_depth(RESNET, "ResNet", (110, 1202))),
    ),
    "he2015_residual/fig7": tuple(
        Responses(
            title,
            (
                *_by_depth(PLAIN, "plain", (20, 56)),
                *_by_depth(RESNET, "ResNet", (20, 56, 110)),
            ),
            dashed=(f"{PLAIN}20", f"{PLAIN}56"),
            ranked=ranked,
        )
        for title, ranked in (("Original order", False), ("Ranked by magnitude", True))
    ),
}
