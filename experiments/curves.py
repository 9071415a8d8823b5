"""Training curves as the papers draw them, from records only."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from experiments.records import RunRecord

# Okabe and Ito's colours, which the colour-blind can tell apart.
ORANGE, SKY, GREEN = "#E69F00", "#56B4E9", "#009E73"
RED, BLUE, PINK = "#D55E00", "#0072B2", "#CC79A7"
BY_DEPTH = {20: ORANGE, 32: SKY, 44: GREEN, 56: RED, 110: BLUE, 1202: PINK}
PAPER_LIMIT = 20.0  # percent, the papers' axis
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


@dataclass(frozen=True)
class Panel:
    """One axis of a figure: its title and its curves, shallow to deep."""

    title: str
    curves: tuple["Curve", ...]


@dataclass(frozen=True)
class Curve:
    """The two curves of one network."""

    experiment: str
    label: str
    colour: str


def _curves(table: str, name: str, label: str, depths: Sequence[int]) -> tuple[Curve, ...]:
    return tuple(
        Curve(f"{table}/{name}{depth}", f"{label}-{depth}", BY_DEPTH[depth]) for depth in depths
    )


RESNET = ("he2015_residual/table6", "resnet", "ResNet")
PLAIN = ("he2015_residual/fig6", "plain", "plain")
FIGURES = {
    # He et al. 2015, Fig. 6; plain-110 ends above 60 % and is not displayed there either.
    "he2015_residual/fig6": (
        Panel("Plain networks", _curves(*PLAIN, (20, 32, 44, 56))),
        Panel("Residual networks", _curves(*RESNET, (20, 32, 44, 56, 110))),
        Panel("110 and 1202 layers", _curves(*RESNET, (110, 1202))),
    ),
}


def draw(panels: Sequence[Panel], records: Sequence[RunRecord], note: str = "") -> Figure:
    """Training error thin and dashed, test error bold, over iterations.

    Args:
        records: of one preset; of several seeds the lowest is drawn.
        note: printed below, for runs that compare with no paper.
    """
    chosen: dict[str, RunRecord] = {}
    for record in sorted(records, key=lambda record: -record.seed):
        chosen[record.experiment] = record
    if note:  # a small version has few of the paper's curves
        known = [p for p in panels if any(curve.experiment in chosen for curve in p.curves)]
        panels = known or panels
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(
            1, len(panels), figsize=(3.9 * len(panels), 3.5), layout="constrained", squeeze=False
        )
        for axis, panel in zip(axes[0], panels, strict=True):
            _draw_panel(axis, panel, chosen, shortened=bool(note))
        axes[0][0].set_ylabel("error (%)")
        dashed = Line2D([], [], color="0.3", lw=0.9, ls=(0, (4, 2)), label="training error")
        bold = Line2D([], [], color="0.3", lw=2.2, label="test error")
        figure.legend(handles=[dashed, bold], loc="outside upper center", ncols=2, frameon=False)
        if note:
            figure.supxlabel(note, fontsize=9, color="#B00020")
    return figure


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as <stem>.png and .svg, without dates, so that the same gives the same."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_suffix(".png"), stem.with_suffix(".svg")]
    with matplotlib.rc_context(STYLE):
        figure.savefig(paths[0], dpi=200, metadata={"Software": None})
        figure.savefig(paths[1], metadata={"Date": None})
    plt.close(figure)
    return paths


def _draw_panel(axis: Axes, panel: Panel, chosen: dict[str, RunRecord], *, shortened: bool) -> None:
    axis.set_title(panel.title)
    axis.set_ylim(0, 100 if shortened else PAPER_LIMIT)
    axis.yaxis.set_major_locator(MultipleLocator(20 if shortened else 5))
    axis.set_xlabel("iterations")
    axis.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}k" if x >= 1000 else f"{x:g}")
    for curve in panel.curves:
        if curve.experiment in chosen:
            _draw_run(axis, chosen[curve.experiment], curve)
    missing = [curve.label for curve in panel.curves if curve.experiment not in chosen]
    if missing and not shortened:
        axis.plot([], [], " ", label="not run yet: " + ",\n".join(missing))
    if axis.lines:
        legend = axis.legend(loc="upper right", fontsize=8, framealpha=0.8, edgecolor="none")
        for text in legend.get_texts():
            text.set_color("0.5" if text.get_text().startswith("not run") else "0")
    axis.set_xlim(0, 64_000 if len(missing) == len(panel.curves) else None)


def _draw_run(axis: Axes, record: RunRecord, curve: Curve) -> None:
    metrics = record.metrics()
    x, colour = metrics["iteration"], curve.colour
    axis.plot(x, metrics["train_error"], color=colour, lw=0.9, ls=(0, (4, 2)))
    axis.plot(x, metrics["test_error"], color=colour, lw=2.2, label=curve.label)
