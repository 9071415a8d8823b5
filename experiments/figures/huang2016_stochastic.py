"""What the figures of Huang et al. 2016 show, panel by panel."""

from experiments.figures.panels import BLACK, BLUE, C10, C100, RED, Curve, Panel, pair
from experiments.figures.points import Family, Grid, Points
from experiments.figures.training import Curves, Gradients

TENTHS = tuple(tenth / 10 for tenth in range(1, 10))
DEPTHS = (20, 38, 56, 74, 92)
TABLE1, FIG4, FIG8 = (f"huang2016_stochastic/{name}/" for name in ("table1", "fig4", "fig8"))
STOCHASTIC = f"{TABLE1}resnet110_stochastic"
LOSS, LAST_BLOCK = "train_loss", "survival probability of the last block"


def _depths(network: str, data: str = C10) -> tuple[Curve, ...]:
    """A network with constant depth against the same one with stochastic depth."""
    constant, stochastic = (
        (f"{network}_{kind}", f"{kind} depth") for kind in ("constant", "stochastic")
    )
    return pair(constant, stochastic, data)


def _decays(rule: str, *, middle: str | None = None) -> tuple[str, ...]:
    """Rows of a survival rule with last probabilities of 0.1 to 0.9; `middle` is that of 0.5."""
    names = [f"{FIG8}{rule}_p0{tenth}" for tenth in range(1, 10)]
    return tuple(middle if middle and name.endswith("p05") else name for name in names)


FIGURES: dict[str, tuple[Panel, ...]] = {
    "huang2016_stochastic/fig3": tuple(
        Curves(
            title, _depths(f"{TABLE1}resnet110", data), LOSS, limit, epochs=True, chosen=True
        )
        for title, data, limit in (("CIFAR-10", C10, 20.0), ("CIFAR-100", C100, 60.0))
    ),
    "huang2016_stochastic/fig4": (
        Curves(
            "ResNet-152, SVHN", _depths(f"{TABLE1}resnet152", "svhn"), LOSS, limit=4.0,
            epochs=True, chosen=True,
        ),
        Curves(
            "ResNet-1202, CIFAR-10", _depths(f"{FIG4}resnet1202"), LOSS, epochs=True, chosen=True
        ),
    ),
    "huang2016_stochastic/fig5": (
        Points(
            "CIFAR-10",
            tuple(
                Family(
                    f"{kind} depth", colour,
                    (f"{TABLE1}resnet110_{kind}", f"{FIG4}resnet1202_{kind}"), at=(110, 1202),
                )
                for kind, colour in (("constant", BLUE), ("stochastic", RED))
            ),
            x="layers",
            published=True,
        ),
    ),
    "huang2016_stochastic/fig6": (
        Curves(
            "ResNet-152, ImageNet", _depths(f"{TABLE1}imagenet152", "imagenet"), training="",
            limit=60.0, floor=20.0, epochs=True,
        ),
    ),
    "huang2016_stochastic/fig7": (
        Gradients("First block, CIFAR-10", _depths(f"{TABLE1}resnet110"), drops=(250, 375)),
    ),
    "huang2016_stochastic/fig8": (
        Points(
            "Survival rule, 110 layers",
            (
                Family("linear decay", BLUE, _decays("linear", middle=STOCHASTIC), C10, TENTHS),
                Family("uniform", RED, _decays("uniform"), C10, TENTHS),
            ),
            x=LAST_BLOCK,
            baseline=Curve(f"{TABLE1}resnet110_constant", "constant depth", BLACK),
        ),
        Grid(
            "Depth and survival",
            y="layers",
            x=LAST_BLOCK,
            down=(*map(str, DEPTHS), "110"),
            across=("0.2", "0.5", "0.8"),
            experiments=(
                *(tuple(f"{FIG8}depth{depth}_p0{p}" for p in (2, 5, 8)) for depth in DEPTHS),
                (f"{FIG8}linear_p02", STOCHASTIC, f"{FIG8}linear_p08"),
            ),
        ),
    ),
}  # fmt: skip
