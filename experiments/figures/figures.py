"""Every figure of the papers: its panels, in a file a paper."""

from experiments.figures import (
    he2015_residual,
    he2016_identity,
    huang2016_stochastic,
    huang2017_dense,
)
from experiments.figures.panels import Panel

FIGURES: dict[str, tuple[Panel, ...]] = (
    he2015_residual.FIGURES
    | he2016_identity.FIGURES
    | huang2016_stochastic.FIGURES
    | huang2017_dense.FIGURES
)
