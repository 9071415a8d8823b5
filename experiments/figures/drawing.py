"""The papers' figures, drawn from records only: their panels side by side."""

from collections.abc import Collection, Sequence
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
from experiments.figures.panels import MISSING, Panel
from experiments.figures.training import level
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
    not run is named below each, and panels that are left out below all.

    Args:
        records: of one preset.
        note: printed below, for runs that are not of the full schedule.
        scale: the share of the schedule that the runs did; None for shortened runs.
    """
    runs = by_row(sorted(records, key=lambda record: record.seed))
    if scale is None:  # shortened runs are of few networks, on a data set of their own
        datasets = dict.fromkeys(data for panel in panels for _, data in panel.rows)
        runs |= {(name, data): seeds for (name, _), seeds in runs.items() for data in datasets}
    absent = idle(panels, runs.keys())
    shown = level([panel for panel in panels if panel not in absent] or panels, runs, scale)
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(
            1, len(shown), figsize=(WIDTH * len(shown), 3.5), layout="constrained", squeeze=False
        )
        for axis, panel in zip(axes[0], shown, strict=True):
            axis.set_title(panel.title)
            panel.draw(axis, runs, scale)
        key = {line.get_label(): line for panel in shown for line in panel.key(runs, scale)}
        if key:
            columns = min(len(key), 2 * len(shown))
            figure.legend(
                handles=[*key.values()], loc="outside upper center", ncols=columns, frameon=False
            )
        colour = "#B00020" if note else "0.4"
        if scale and len(shown) < len(panels):
            note += f"\n{MISSING}: panel " + ", ".join(f"“{panel.title}”" for panel in absent)
        if note:
            figure.supxlabel(note.strip(), fontsize=9, color=colour)
        figure.draw_without_rendering()  # notes shrink a panel, which changes its ticks, and so on
    return figure


def idle(panels: Sequence[Panel], run: Collection[tuple[str, str]]) -> list[Panel]:
    """The panels of which no row has `run`, apart from what all of them show to compare with."""
    shared = set.intersection(*(set(panel.rows) for panel in panels))
    own = [set(panel.rows) - shared or shared for panel in panels]
    return [panel for panel, rows in zip(panels, own, strict=True) if not rows & set(run)]


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
