"""What the figures of Huang et al. 2016 show, panel by panel."""

from experiments.figures.panels import BLACK, BLUE, C10, C100, RED, Curve, Panel, pair
from experiments.figures.points import Family, Grid, Points
from experiments.figures.training import Curves, Gradients

TENTHS = tuple(tenth / 10 for tenth in range(1, 10))
DEPTHS = (20, 38, 56, 74, 92)
DEPTH = "huang2016_stochastic/"
LOSS = "train_loss"
STOCHASTIC = f"{DEPTH}table1/resnet110_stochastic"


def _decays(rule: str, *, middle: str | None = None) -> tuple[str, ...]:
    """Rows of a rule of survival with a last probability of 0.1 to 0.9; `middle` is that of 0.5."""
    names = [f"huang2016_stochastic/fig8/{rule}_p0{tenth}" for tenth in range(1, 10)]
    return tuple(middle if middle and name.endswith("p05") else name for name in names)


FIGURES: dict[str, tuple[Panel, ...]] = {
    "huang2016_stochastic/fig3": tuple(
        Curves(
            title,
            pair(
                (f"{DEPTH}table1/resnet110_constant", "constant depth"),
                (f"{DEPTH}table1/resnet110_stochastic", "stochastic depth"),
                data,
            ),
            LOSS,
            limit,
            epochs=True,
            chosen=True,
        )
        for title, data, limit in (("CIFAR-10", C10, 20.0), ("CIFAR-100", C100, 60.0))
    ),
    "huang2016_stochastic/fig4": (
        Curves(
            "ResNet-152, SVHN",
            pair(
                (f"{DEPTH}table1/resnet152_constant", "constant depth"),
                (f"{DEPTH}table1/resnet152_stochastic", "stochastic depth"),
                "svhn",
            ),
            LOSS,
            limit=4.0,
            epochs=True,
            chosen=True,
        ),
        Curves(
            "ResNet-1202, CIFAR-10",
            pair(
                (f"{DEPTH}fig4/resnet1202_constant", "constant depth"),
                (f"{DEPTH}fig4/resnet1202_stochastic", "stochastic depth"),
            ),
            LOSS,
            epochs=True,
            chosen=True,
        ),
    ),
    "huang2016_stochastic/fig5": (
        Points(
            "CIFAR-10",
            tuple(
                Family(
                    f"{kind} depth",
                    colour,
                    (f"{DEPTH}table1/resnet110_{kind}", f"{DEPTH}fig4/resnet1202_{kind}"),
                    at=(110, 1202),
                )
                for kind, colour in (("constant", BLUE), ("stochastic", RED))
            ),
            x="layers",
            published=True,
        ),
    ),
    "huang2016_stochastic/fig6": (
        Curves(
            "ResNet-152, ImageNet",
            pair(
                (f"{DEPTH}table1/imagenet152_constant", "constant depth"),
                (f"{DEPTH}table1/imagenet152_stochastic", "stochastic depth"),
                "imagenet",
            ),
            training="",
            limit=60.0,
            floor=20.0,
            epochs=True,
        ),
    ),
    "huang2016_stochastic/fig7": (
        Gradients(
            "First block, CIFAR-10",
            pair(
                (f"{DEPTH}table1/resnet110_constant", "constant depth"),
                (f"{DEPTH}table1/resnet110_stochastic", "stochastic depth"),
            ),
            drops=(250, 375),
        ),
    ),
    "huang2016_stochastic/fig8": (
        Points(
            "Rule of survival, 110 layers",
            (
                Family("linear decay", BLUE, _decays("linear", middle=STOCHASTIC), C10, TENTHS),
                Family("uniform", RED, _decays("uniform"), C10, TENTHS),
            ),
            x="survival probability of the last block",
            baseline=Curve(f"{DEPTH}table1/resnet110_constant", "constant depth", BLACK),
        ),
        Grid(
            "Depth and survival",
            y="layers",
            x="survival probability of the last block",
            down=(*map(str, DEPTHS), "110"),
            across=("0.2", "0.5", "0.8"),
            experiments=(
                *(tuple(f"{DEPTH}fig8/depth{d}_p0{p}" for p in (2, 5, 8)) for d in DEPTHS),
                (f"{DEPTH}fig8/linear_p02", STOCHASTIC, f"{DEPTH}fig8/linear_p08"),
            ),
        ),
    ),
}
