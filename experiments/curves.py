"""The papers' figures, drawn from records only; here their frame, and the training curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from experiments.analyses import draw_responses, draw_reuse
from experiments.panels import Curve, Curves, Gradients, Grid, Panel, Points, Responses, parts
from experiments.points import Runs, draw_grid, draw_points, legend
from experiments.records import RunRecord

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
DASHED: dict[str, Any] = {"lw": 0.9, "ls": (0, (4, 2))}
BOLD = 2.2


def draw(panels: Sequence[Panel], records: Sequence[RunRecord], note: str = "") -> Figure:
    """A figure of some panels; what has not run is named in its legend.

    Args:
        records: of one preset; a training curve is that of the lowest seed, a point of error
            against parameters the mean over seeds.
        note: printed below, for runs that compare with no paper.
    """
    runs: Runs = {}
    for record in sorted(records, key=lambda record: record.seed):
        runs.setdefault((record.experiment, record.dataset), []).append(record)
    if note:  # a small version has few of the paper's networks, on a data set of its own
        runs |= {(name, data): own for (name, _), own in runs.items() for data in _data_of(panels)}
        panels = [panel for panel in panels if _has_any(panel, runs)] or panels
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(
            1, len(panels), figsize=(3.9 * len(panels), 3.5), layout="constrained", squeeze=False
        )
        for axis, panel in zip(axes[0], panels, strict=True):
            if isinstance(panel, Curves):
                _draw_curves(axis, panel, runs, shortened=bool(note))
            elif isinstance(panel, Gradients):
                _draw_gradients(axis, panel, runs)
            elif isinstance(panel, Points):
                draw_points(axis, panel, runs)
            elif isinstance(panel, Grid):
                draw_grid(axis, panel, runs)
            elif isinstance(panel, Responses):
                draw_responses(axis, panel, runs)
            else:
                draw_reuse(axis, panel, runs)
        _draw_key(figure, panels)
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


def _data_of(panels: Sequence[Panel]) -> list[str]:
    return list(dict.fromkeys(data for panel in panels for _, _, data in parts(panel)))


def _has_any(panel: Panel, runs: Runs) -> bool:
    return any((row, data) in runs for _, rows, data in parts(panel) for row in rows)


def _draw_key(figure: Figure, panels: Sequence[Panel]) -> None:
    kinds = {panel.training for panel in panels if isinstance(panel, Curves)}
    if not kinds:
        return
    training = "training error" if kinds == {"train_error"} else "training loss (left)"
    test = "test error" if kinds == {"train_error"} else "test error (right)"
    handles = [
        Line2D([], [], color="0.3", label=training, **DASHED),
        Line2D([], [], color="0.3", lw=BOLD, label=test),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False)


def _draw_curves(axis: Axes, panel: Curves, runs: Runs, *, shortened: bool) -> None:
    axis.set_title(panel.title)
    errors = axis if panel.training == "train_error" else axis.twinx()
    top = 100.0 if shortened else panel.limit
    errors.set_ylim(0, top)
    errors.yaxis.set_major_locator(MultipleLocator(top / (5 if shortened else 4)))
    errors.set_ylabel("error (%)" if errors is axis else "test error (%)")
    if errors is not axis:
        axis.set_ylabel("training loss")
        errors.grid(visible=False)
        errors.spines["right"].set_visible(True)
    axis.set_xlabel("epochs" if panel.epochs else "iterations")
    axis.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}k" if x >= 1000 else f"{x:g}")
    known = [curve for curve in panel.curves if (curve.experiment, curve.dataset) in runs]
    for curve in known:
        _draw_run(axis, errors, panel, curve, runs[curve.experiment, curve.dataset][0])
    missing = [curve.label for curve in panel.curves if curve not in known]
    legend(errors, [] if shortened else missing)
    if not known and not shortened:
        axis.set_xlim(0, 300 if panel.epochs else 64_000)
    else:
        axis.set_xlim(0, None)
    if errors is not axis:
        axis.set_ylim(0, None if known else 2)


def _draw_run(axis: Axes, errors: Axes, panel: Curves, curve: Curve, record: RunRecord) -> None:
    metrics = record.metrics()
    x = metrics["epoch" if panel.epochs else "iteration"]
    training = f"_{curve.label}, training"  # no legend has what starts so
    axis.plot(x, metrics[panel.training], color=curve.colour, label=training, **DASHED)
    errors.plot(x, metrics["test_error"], color=curve.colour, lw=BOLD, label=curve.label)


def _draw_gradients(axis: Axes, panel: Gradients, runs: Runs) -> None:
    axis.set_title(panel.title)
    axis.set_xlabel("epochs")
    axis.set_ylabel("mean gradient magnitude")
    axis.set_yscale("log")
    missing = []
    for curve in panel.curves:
        metrics = [record.metrics() for record in runs.get((curve.experiment, curve.dataset), [])]
        measured = next((frame for frame in metrics if "gradient" in frame), None)
        if measured is None:
            missing.append(curve.label)
            continue
        x, y = measured["epoch"], measured["gradient"]
        axis.plot(x, y, color=curve.colour, lw=1.4, label=curve.label)
    for drop in panel.drops:
        axis.axvline(drop, color="0.5", lw=0.9, ls=":")
    if len(missing) == len(panel.curves):
        axis.set_xlim(0, 500)
        axis.set_ylim(1e-4, 1e-1)
    legend(axis, missing, "best")
