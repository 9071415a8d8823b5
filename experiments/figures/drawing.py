"""The papers' figures, drawn from records only: their panels side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from experiments.figures import (
    he2015_residual,
    he2016_identity,
    huang2016_stochastic,
    huang2017_dense,
)
from experiments.figures.panels import Panel
from experiments.verdicts.records import RunRecord, by_row

matplotlib.use("Agg")  # for all modules that draw: no window is needed
WIDTH = 3.9  # of a panel, in inches
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.hashsalt": "residual-to-dense",  # the same figure gives the same bytes
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "lines.solid_capstyle": "round",
}

# The panels of every figure, from one file per paper.
FIGURES: dict[str, tuple[Panel, ...]] = (
    he2015_residual.FIGURES
    | he2016_identity.FIGURES
    | huang2016_stochastic.FIGURES
    | huang2017_dense.FIGURES
)


def draw(
    panels: Sequence[Panel],
    records: Sequence[RunRecord],
    note: str = "",
    scale: float | None = 1.0,
) -> Figure:
    """Draw a figure of the panels that have anything to show yet, or of all if none has; what has
    not run is named below each.

    Args:
        records: of one preset.
        note: printed below, for runs that are not of the full schedule.
        scale: the share of the schedule that the runs did; None for shortened runs.
    """
    runs = by_row(sorted(records, key=lambda record: record.seed))
    if scale is None:  # shortened runs are of few networks, on a data set of their own
        datasets = dict.fromkeys(data for panel in panels for _, data in panel.rows)
        runs |= {(name, data): seeds for (name, _), seeds in runs.items() for data in datasets}
    panels = [panel for panel in panels if runs.keys() & set(panel.rows)] or panels
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(
            1, len(panels), figsize=(WIDTH * len(panels), 3.5), layout="constrained", squeeze=False
        )
        for axis, panel in zip(axes[0], panels, strict=True):
            axis.set_title(panel.title)
            panel.draw(axis, runs, scale)
        if key := next(filter(None, (panel.key(scale) for panel in panels)), None):
            columns = min(len(key), 2 * len(panels))
            figure.legend(handles=key, loc="outside upper center", ncols=columns, frameon=False)
        if note:
            figure.supxlabel(note, fontsize=9, color="#B00020")
        figure.draw_without_rendering()  # notes shrink a panel, which changes its ticks, and so on
    return figure


def save(figure: Figure | None, stem: Path) -> list[Path]:
    """Write a figure as <stem>.png and .svg, without dates, so that the same figure gives the same
    bytes, and return the paths; given None, delete older files, whose runs are gone."""
    paths = [stem.with_suffix(".png"), stem.with_suffix(".svg")]
    if figure is None:
        for path in paths:
            path.unlink(missing_ok=True)
        return []
    stem.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        figure.savefig(paths[0], dpi=200, metadata={"Software": None})
        figure.savefig(paths[1], metadata={"Date": None})
    plt.close(figure)
    return paths
