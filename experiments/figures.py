"""What the papers' figures show, panel by panel."""

from collections.abc import Sequence

from experiments.colours import BLACK, BLUE, GREEN, ORANGE, PINK, RED, SKY
from experiments.figures_dense import DENSE
from experiments.panels import (
    C10,
    C100,
    Curve,
    Curves,
    Family,
    Gradients,
    Grid,
    Panel,
    Points,
    Responses,
    pair,
)

BY_DEPTH = {20: ORANGE, 32: SKY, 44: GREEN, 56: RED, 110: BLUE, 1202: PINK}


def _by_depth(prefix: str, label: str, depths: Sequence[int]) -> tuple[Curve, ...]:
    return tuple(Curve(f"{prefix}{d}", f"{label}-{d}", BY_DEPTH[d]) for d in depths)


def _decays(rule: str, *, own: str | None = None) -> tuple[str, ...]:
    """Rows of a rule of survival with a last probability of 0.1 to 0.9; `own` is that of 0.5."""
    names = [f"huang2016_stochastic/fig8/{rule}_p0{tenth}" for tenth in range(1, 10)]
    return tuple(own if own and name.endswith("p05") else name for name in names)


TENTHS = tuple(tenth / 10 for tenth in range(1, 10))
DEPTHS = (20, 38, 56, 74, 92)
RESNET, PLAIN = "he2015_residual/table6/resnet", "he2015_residual/fig6/plain"
SHORTCUTS, ORDERS = "he2016_identity/table1/", "he2016_identity/table2/"
DEPTH = "huang2016_stochastic/"
BASE = (f"{RESNET}110", "110, original")
LOSS = "train_loss"
STOCHASTIC = f"{DEPTH}table1/resnet110_stochastic"

ON_IMAGENET = "he2015_residual/table2/"

FIGURES: dict[str, tuple[Panel, ...]] = {
    # The paper shows the error on the training and on the validation set, from 20 to 60 %.
    "he2015_residual/fig4": tuple(
        Curves(
            title,
            (
                Curve(f"{ON_IMAGENET}{kind}18", f"{label}-18", SKY, "imagenet"),
                Curve(f"{ON_IMAGENET}{kind}34", f"{label}-34", RED, "imagenet"),
            ),
            limit=60.0,
        )
        for title, kind, label in (
            ("Plain networks", "plain", "plain"),
            ("Residual networks", "resnet", "ResNet"),
        )
    ),
    # Plain-110 ends above 60 % and is not displayed there either.
    "he2015_residual/fig6": (
        Curves("Plain networks", _by_depth(PLAIN, "plain", (20, 32, 44, 56))),
        Curves("Residual networks", _by_depth(RESNET, "ResNet", (20, 32, 44, 56, 110))),
        Curves("110 and 1202 layers", _by_depth(RESNET, "ResNet", (110, 1202))),
    ),
    "he2015_residual/fig7": tuple(
        Responses(
            title,
            (
                Curve(f"{PLAIN}20", "plain-20", ORANGE),
                Curve(f"{PLAIN}56", "plain-56", PINK),
                Curve(f"{RESNET}20", "ResNet-20", SKY),
                Curve(f"{RESNET}56", "ResNet-56", RED),
                Curve(f"{RESNET}110", "ResNet-110", BLUE),
            ),
            ranked,
        )
        for title, ranked in (("Original order", False), ("Ranked by magnitude", True))
    ),
    "he2016_identity/fig1": (
        Curves(
            "ResNet-1001",
            pair(
                ("he2016_identity/table3/original_1001", "original"),
                ("he2016_identity/table3/full_preact_1001", "full pre-activation"),
            ),
            LOSS,
        ),
    ),
    "he2016_identity/fig3": tuple(
        Curves(title, pair(BASE, (f"{SHORTCUTS}{row}", label)), LOSS)
        for title, row, label in (
            ("(a) constant scaling", "scale_05_05", "scaled by 0.5"),
            ("(b) exclusive gating", "exclusive_gate_b6", "gated, bias -6"),
            ("(c) shortcut-only gating", "shortcut_gate_b0", "gated, bias 0"),
            ("(d) 1x1 convolution", "conv1x1", "1x1 convolution"),
        )
    ),
    "he2016_identity/fig6": (
        Curves("110 layers", pair(BASE, (f"{ORDERS}bn_after_add_110", "BN after addition")), LOSS),
        Curves(
            "164 layers",
            pair(
                (f"{ORDERS}original_164", "original"),
                (f"{ORDERS}full_preact_164", "full pre-activation"),
            ),
            LOSS,
        ),
    ),
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
        ),
        Curves(
            "ResNet-1202, CIFAR-10",
            pair(
                (f"{DEPTH}fig4/resnet1202_constant", "constant depth"),
                (f"{DEPTH}fig4/resnet1202_stochastic", "stochastic depth"),
            ),
            LOSS,
            epochs=True,
        ),
    ),
    "huang2016_stochastic/fig7": (
        Gradients(
            "First convolution, CIFAR-10",
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
                Family("linear decay", BLUE, _decays("linear", own=STOCHASTIC), C10, TENTHS),
                Family("uniform", RED, _decays("uniform"), C10, TENTHS),
            ),
            x="survival probability of the last block",
            baseline=Curve(f"{DEPTH}table1/resnet110_constant", "constant depth", BLACK),
        ),
        Grid(
            "Depth and survival",
            y="layers",
            x="survival probability of the last block",
            rows=(*map(str, DEPTHS), "110"),
            columns=("0.2", "0.5", "0.8"),
            experiments=(
                *(tuple(f"{DEPTH}fig8/depth{d}_p0{p}" for p in (2, 5, 8)) for d in DEPTHS),
                (f"{DEPTH}fig8/linear_p02", STOCHASTIC, f"{DEPTH}fig8/linear_p08"),
            ),
        ),
    ),
    **DENSE,
}
