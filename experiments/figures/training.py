"""Panels of what was measured during training: error or loss, and gradients."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MultipleLocator, NullFormatter

from experiments.figures.panels import Curve, CurvesPanel, Panel, Runs, legend
from experiments.verdicts.records import RunRecord

DASHED: dict[str, Any] = {"lw": 0.9, "ls": (0, (4, 2))}
CIRCLE: dict[str, Any] = {"ls": "", "marker": "o", "ms": 8, "mfc": "none", "mec": "black"}
BOLD = 2.2
OTHERS: dict[str, Any] = {"lw": 0.7, "alpha": 0.45}


@dataclass(frozen=True)
class Curves(CurvesPanel):
    """A panel of training and test curves, shallow to deep, each of the lowest seed; the test
    errors of other seeds are thin.

    Attributes:
        training: `train_error`, on the axis of the test error, or `train_loss`, on its own axis;
            empty if the paper shows only test errors.
        limit: top of the error axis in percent, as in the paper.
        floor: bottom of the error axis in percent, if the paper's is not at 0.
        epochs: whether the horizontal axis counts epochs instead of iterations.
        chosen: whether the epoch with the lowest validation error is circled.
    """

    training: str = "train_error"
    limit: float = 20.0
    floor: float = 0.0
    epochs: bool = False
    chosen: bool = False

    def key(self, runs: Runs, scale: float | None) -> Sequence[Line2D]:
        several = any(len(runs.get(row, ())) > 1 for row in self.rows)
        others = (
            [Line2D([], [], color="0.3", label="test error, other runs", **OTHERS)]
            if several
            else []
        )
        if not self.training:
            return others
        one = self.training == "train_error"
        training = "training error" if one else "training loss (left)"
        test = "test error" if one else "test error (right)"
        circle = Line2D([], [], label="lowest validation error", **CIRCLE)
        return (
            Line2D([], [], color="0.3", label=training, **DASHED),
            Line2D([], [], color="0.3", lw=BOLD, label=test),
            *others,
            *([circle] if self.chosen else []),
        )

    def draw(self, axis: Axes, runs: Runs, scale: float | None) -> None:
        errors = axis.twinx() if self.training == "train_loss" else axis
        known = [curve for curve in self.curves if curve.row in runs]
        errors.set_ylim(self.floor, self.limit)
        step = (self.limit - self.floor) / (5 if scale is None else 4)
        errors.yaxis.set_major_locator(MultipleLocator(step))
        errors.set_ylabel("error (%)" if errors is axis else "test error (%)")
        if errors is not axis:
            axis.set_ylabel("training loss")
            errors.grid(visible=False)
            errors.spines["right"].set_visible(True)
        axis.set_xlabel("epochs" if self.epochs else "iterations")
        axis.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}k" if x >= 1000 else f"{x:g}")
        for curve in known:
            self._draw_runs(axis, errors, curve, runs[curve.row])
        missing = [curve.label for curve in self.curves if curve not in known]
        legend(errors, missing if scale else [])
        if not known and scale:
            axis.set_xlim(0, scale * (300 if self.epochs else 64_000))
        else:
            axis.set_xlim(0, None)
        if errors is not axis:
            # The curves part near 0, which only a logarithmic axis shows.
            axis.set_yscale("log")
            low, high = axis.get_ylim() if known else (1e-3, 10)
            axis.set_ylim(low, high * (high / low) ** 0.35)  # the names stand above the curves
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
            axis.yaxis.set_minor_formatter(NullFormatter())

    def top(self, runs: Runs, scale: float | None) -> float:
        """Top of an axis that shows where the curves end on a part of the schedule."""
        if scale is None:
            return 100.0
        shown = [record for row in self.rows for record in runs.get(row, ())]
        top, last = 2 * self.limit, max((r.error("last") or 0.0 for r in shown), default=0.0)
        while last > 0.6 * top:  # the legend is above
            top *= 2
        return min(100.0, top)

    def _draw_runs(
        self, axis: Axes, errors: Axes, curve: Curve, records: Sequence[RunRecord]
    ) -> None:
        across = "epoch" if self.epochs else "iteration"
        for record in records[1:]:
            other = record.metrics()
            errors.plot(other[across], other["test_error"], color=curve.colour, **OTHERS)
        metrics = records[0].metrics()
        x, y = metrics[across], metrics["test_error"]
        if self.training:
            training = f"_{curve.label}, training"  # the underscore keeps it out of the legend
            axis.plot(x, metrics[self.training], color=curve.colour, label=training, **DASHED)
        errors.plot(x, y, color=curve.colour, lw=BOLD, label=curve.label)
        if self.chosen and "val_error" in metrics and metrics["val_error"].notna().any():
            best = metrics["val_error"].argmin()
            place = x.iloc[best], y.iloc[best]
            errors.plot(*place, **CIRCLE)


def level(panels: Sequence[Panel], runs: Runs, scale: float | None) -> list[Panel]:
    """The panels, those of curves with one error axis for all; on the full schedule as they are,
    with the paper's."""
    if scale == 1:
        return list(panels)
    top = max((p.top(runs, scale) for p in panels if isinstance(p, Curves)), default=0.0)
    return [replace(p, limit=top, floor=0.0) if isinstance(p, Curves) else p for p in panels]


@dataclass(frozen=True)
class Gradients(CurvesPanel):
    """A panel of the gradient at the first block by epoch; the learning rate drops after the epochs
    in `drops`."""

    drops: tuple[float, ...]

    def draw(self, axis: Axes, runs: Runs, scale: float | None) -> None:
        axis.set_xlabel("epochs")
        axis.set_ylabel("mean gradient magnitude")
        axis.set_yscale("log")
        missing = []
        for curve in self.curves:
            metrics = [record.metrics() for record in runs.get(curve.row, [])]
            measured = next((frame for frame in metrics if "gradient" in frame), None)
            if measured is None:
                missing.append(curve.label)
                continue
            x, y = measured["epoch"], measured["gradient"]
            axis.plot(x, y, color=curve.colour, lw=1.4, label=curve.label)
        for drop in self.drops:
            axis.axvline(drop * (scale or 1), color="0.5", lw=0.9, ls=":")
        if len(missing) == len(self.curves):
            axis.set_xlim(0, 500 * (scale or 1))
            axis.set_ylim(1e-4, 1e-1)
        legend(axis, missing, "best")
