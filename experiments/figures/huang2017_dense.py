"""What the figures of Huang et al. 2017 show, panel by panel."""

from experiments.figures.panels import BLUE, GREEN, ORANGE, PINK, RED, SKY, Panel, pair
from experiments.figures.points import Family, Points, family
from experiments.figures.training import Curves
from experiments.figures.weights import Reuse

DENSENETS, SMALL = "huang2017_dense/table2/", "huang2017_dense/fig4/"
BC100 = f"{DENSENETS}densenet_bc_100_12"
DEPTH = "huang2016_stochastic/"
IMAGENET_RESNETS = tuple(f"huang2017_dense/fig3/resnet{depth}" for depth in (34, 50, 101, 152))
IMAGENET_DENSENETS = (
    *(f"huang2017_dense/table3/densenet{depth}" for depth in (121, 169, 201)),
    "huang2017_dense/fig3/densenet161",
    "huang2017_dense/table3/densenet264",
)

FIG3 = "huang2017_dense/fig3"
SIZES = ("parameters (millions)", "multiply-adds (billions)")
BC = family("DenseNet-BC", BLUE, f"{SMALL}densenet_bc_", (16, 28, 40, 52, 64, 76, 88), BC100)
CIFAR_FAMILIES = (
    family("ResNet", RED, "he2015_residual/table6/resnet", (20, 32, 44, 56, 110, 1202)),
    Family(
        "pre-activation",
        PINK,
        ("he2016_identity/table2/full_preact_164", "he2016_identity/table3/full_preact_1001"),
    ),
    Family(
        "stochastic depth",
        ORANGE,
        (f"{DEPTH}table1/resnet110_stochastic", f"{DEPTH}fig4/resnet1202_stochastic"),
    ),
    family("DenseNet", SKY, f"{DENSENETS}densenet_", ("40_12", "100_12", "100_24")),
    family("DenseNet-BC", BLUE, f"{DENSENETS}densenet_bc_", ("100_12", "250_24", "190_40")),
)

FIGURES: dict[str, tuple[Panel, ...]] = {
    "huang2017_dense/fig3": tuple(
        Points(
            f"ImageNet, one crop: {title}",
            (
                Family("ResNet", RED, IMAGENET_RESNETS, "imagenet", table=FIG3, name="resnet"),
                Family(
                    "DenseNet", BLUE, IMAGENET_DENSENETS, "imagenet", table=FIG3, name="densenet"
                ),
            ),
            x,
            published=True,
        )
        for title, x in zip(("parameters", "operations"), SIZES, strict=True)
    ),
    # Not in the paper: the same question on CIFAR-10, for which it has only a table.
    "huang2017_dense/fig3_cifar": tuple(
        Points(f"CIFAR-10: {title}", CIFAR_FAMILIES, x, published=True, log=True)
        for title, x in zip(("parameters", "operations"), SIZES, strict=True)
    ),
    "huang2017_dense/fig4": (
        Points(
            "DenseNet variants",
            (
                family("DenseNet", ORANGE, f"{SMALL}densenet_", (10, 16, 22, 28, 34)),
                family("DenseNet-C", SKY, f"{SMALL}densenet_c_", (10, 16, 22, 28, 34, 40, 46)),
                family("DenseNet-B", GREEN, f"{SMALL}densenet_b_", (22, 34, 46, 58, 70, 82)),
                BC,
            ),
        ),
        Points(
            "Against ResNet",
            (
                family("ResNet, basic", RED, f"{SMALL}full_preact_", (8, 14, 20, 32, 44, 56)),
                family("ResNet, bottleneck", PINK, f"{SMALL}full_preact_", (29, 47, 65, 83)),
                BC,
            ),
        ),
        Curves(
            "A tenth of the parameters",
            pair(
                ("he2016_identity/table4/full_preact_1001_bs64", "ResNet-1001 (10.3M)"),
                (BC100, "DenseNet-BC 100-12 (0.8M)"),
            ),
            "train_loss",
            epochs=True,
        ),
    ),
    "huang2017_dense/fig5": tuple(
        Reuse(f"Dense block {block}", f"{DENSENETS}densenet_40_12", block, bar=block == 3)
        for block in (1, 2, 3)
    ),
}
