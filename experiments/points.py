"""Panels of final test errors: against parameters or a setting, and on a grid of two settings."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from matplotlib.axes import Axes

from experiments import published
from experiments.aggregate import working_error
from experiments.panels import Family, Grid, Points
from experiments.records import RunRecord
from experiments.rows import facts

MISSING = "not run yet"
Runs = dict[tuple[str, str], list[RunRecord]]


def draw_points(axis: Axes, panel: Points, runs: Runs) -> None:
    """Mean test error of every network that has run, a line a family; hollow: published ones."""
    axis.set_title(panel.title)
    axis.set_xlabel(panel.x)
    axis.set_ylabel("test error (%)")
    missing = []
    for family in panel.families:
        places = [place(panel.x, family, number) for number in range(len(family.experiments))]
        errors = [mean_error(runs, row, family.dataset) for row in family.experiments]
        known = sorted((x, y) for x, y in zip(places, errors, strict=True) if y is not None)
        if absent := len(errors) - len(known):
            missing.append(f"{family.label} ({absent} of {len(errors)})")
        if known:
            x, y = zip(*known, strict=True)
            axis.plot(x, y, color=family.colour, lw=1.4, marker="o", ms=4, label=family.label)
        if panel.published:
            _draw_published(axis, family, places)
    if panel.baseline is not None:
        line = panel.baseline
        level = mean_error(runs, line.experiment, line.dataset)
        if level is None:
            missing.append(line.label)
        else:
            axis.axhline(level, color=line.colour, lw=1, ls=(0, (4, 2)), label=line.label)
    if panel.log:
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    if not axis.lines:
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 20)
    legend(axis, missing, "best")


def draw_grid(axis: Axes, panel: Grid, runs: Runs) -> None:
    """Mean test error of every network as a colour and a number."""
    errors = [[mean_error(runs, row, panel.dataset) for row in line] for line in panel.experiments]
    values = [[math.nan if error is None else error for error in line] for line in errors]
    axis.set_title(panel.title)
    axis.grid(visible=False)
    axis.imshow(values, cmap="viridis_r", aspect="auto", origin="lower")
    axis.set_xticks(range(len(panel.columns)), panel.columns)
    axis.set_yticks(range(len(panel.rows)), panel.rows)
    axis.set_xlabel(panel.x)
    axis.set_ylabel(panel.y)
    finite = [value for line in values for value in line if not math.isnan(value)]
    middle = (min(finite) + max(finite)) / 2 if finite else 0.0
    for i, line in enumerate(errors):
        for j, error in enumerate(line):
            colour = "0.5" if error is None else "white" if error > middle else "black"
            text = "-" if error is None else f"{error:.2f}"
            axis.text(j, i, text, ha="center", va="center", color=colour)
    if not finite:
        legend(axis, ["all"])


def mean_error(runs: Runs, experiment: str, dataset: str) -> float | None:
    """Mean test error in percent over the runs that train, or None where there is none."""
    found = [working_error(record) for record in runs.get((experiment, dataset), [])]
    errors = [error for error in found if error is not None]
    return fmean(errors) if errors else None


def place(x: str, family: Family, number: int) -> float:
    """Where a network of a family stands on the horizontal axis."""
    if family.at:
        return family.at[number]
    fact = facts(family.experiments[number], family.dataset)
    assert fact is not None, "every row of a figure is counted"
    return fact.params / 1e6 if x.startswith("parameters") else fact.macs / 1e9


def legend(
    axis: Axes, missing: Sequence[str], where: Literal["upper right", "best"] = "upper right"
) -> None:
    """What is drawn, and what has not run yet."""
    if missing:
        axis.plot([], [], " ", label=f"{MISSING}: " + ",\n".join(missing))
    if axis.lines:
        drawn = axis.legend(loc=where, fontsize=8, framealpha=0.8, edgecolor="none")
        for text in drawn.get_texts():
            text.set_color("0.5" if text.get_text().startswith(MISSING) else "0")


def _draw_published(axis: Axes, family: Family, places: Sequence[float]) -> None:
    tables = [family.table or row.rpartition("/")[0] for row in family.experiments]
    lines = [published.Line(table, row, family.dataset)
             for table, row in zip(tables, family.experiments, strict=True)]  # fmt: skip
    known = [(x, published.value(line, published.ERROR))
             for x, line in zip(places, lines, strict=True)]  # fmt: skip
    x, y = zip(*sorted((x, y) for x, y in known if y is not None), strict=True)
    axis.plot(x, y, color=family.colour, lw=0.8, ls=":", marker="o", ms=5, mfc="none",
              label=f"{family.label}, published")  # fmt: skip
