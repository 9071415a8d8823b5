"""What the figures of He et al. 2016 show, panel by panel."""

from experiments.figures.panels import Panel, pair
from experiments.figures.training import Curves

SHORTCUTS, ORDERS = "he2016_identity/table1/", "he2016_identity/table2/"
BASE = ("he2015_residual/table6/resnet110", "110, original")
LOSS = "train_loss"

FIGURES: dict[str, tuple[Panel, ...]] = {
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
}
