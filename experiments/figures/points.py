"""Panels of final test errors: against parameters or a setting, and on a grid of two settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from experiments.figures.panels import C10, Curve, Panel, Rows, Runs, legend
from experiments.papers import published
from experiments.papers.rows import all_rows
from experiments.verdicts.aggregate import aggregate, working_error

OURS: dict[str, Any] = {"lw": 1.4, "marker": "o", "ms": 4}
SINGLE: dict[str, Any] = {"ls": "", "marker": "o", "ms": 2, "alpha": 0.6}
PUBLISHED: dict[str, Any] = {"lw": 0.8, "ls": ":", "marker": "o", "ms": 5, "mfc": "none"}


@dataclass(frozen=True)
class Family:
    """Networks of one kind, joined by a line.

    Attributes:
        at: horizontal position of each, if not its size.
        table: the table that publishes their errors, if not each row's own.
        name: what precedes the depth in each row's name; that depth labels its point. Empty for no
            labels.
    """

    label: str
    colour: str
    experiments: tuple[str, ...]
    dataset: str = C10
    at: tuple[float, ...] = ()
    table: str | None = None
    name: str = ""

    @property
    def rows(self) -> Rows:
        return [(experiment, self.dataset) for experiment in self.experiments]


def family(label: str, colour: str, prefix: str, depths: Sequence[int | str], *more: str) -> Family:
    """Make a family of the rows named `prefix` plus a depth, and the rows in `more`."""
    return Family(label, colour, (*(f"{prefix}{depth}" for depth in depths), *more))


@dataclass(frozen=True)
class Points(Panel):
    """A panel of mean test errors, one line per family, with a dot for each of several runs;
    published ones are hollow.

    Attributes:
        x: label of the horizontal axis: `parameters (millions)`, `multiply-adds (billions)`, or
            the meaning of the families' `at`.
        published: whether published errors are shown beside those of full schedules.
        baseline: a network whose error is drawn as a level line, or None.
        log: whether the horizontal axis is logarithmic.
    """

    families: tuple[Family, ...]
    x: str = "parameters (millions)"
    published: bool = False
    baseline: Curve | None = None
    log: bool = False

    @property
    def rows(self) -> Rows:
        return [
            *(row for family in self.families for row in family.rows),
            *([self.baseline.row] if self.baseline else []),
        ]

    def key(self, runs: Runs, scale: float | None) -> Sequence[Line2D]:
        several = any(len(runs.get(row, ())) > 1 for row in self.rows)
        single = [Line2D([], [], color="0.3", label="single runs", **SINGLE)] if several else []
        if not (self.published and scale == 1):
            return single
        named = [Line2D([], [], color=f.colour, label=f.label, **OURS) for f in self.families]
        return (*named, *single, Line2D([], [], color="0.3", label="published", **PUBLISHED))

    def draw(self, axis: Axes, runs: Runs, scale: float | None) -> None:
        axis.set_xlabel(self.x)
        axis.set_ylabel("test error (%)")
        missing = []
        for family in self.families:
            at, errors = places(self.x, family), [mean_error(runs, row) for row in family.rows]
            for place, row in zip(at, family.rows, strict=True):
                if len(single := working_errors(runs, row)) > 1:
                    axis.plot([place] * len(single), single, color=family.colour, **SINGLE)
            lines = [(errors, family.label, OURS)]
            if absent := errors.count(None):
                missing.append(f"{family.label} ({absent} of {len(errors)})")
            if self.published and scale == 1:
                lines.append((_published(family), f"{family.label}, published", PUBLISHED))
            for values, label, style in lines:
                points = sorted((x, y) for x, y in zip(at, values, strict=True) if y is not None)
                if points:
                    x, y = zip(*points, strict=True)
                    axis.plot(x, y, color=family.colour, label=label, **style)
            _draw_names(axis, family, at, lines[-1][0], above=family is self.families[0])
        if self.baseline is not None:
            line = self.baseline
            level = mean_error(runs, line.row)
            if level is None:
                missing.append(line.label)
            else:
                axis.axhline(level, color=line.colour, lw=1, ls=(0, (4, 2)), label=line.label)
        if any(family.name for family in self.families):
            axis.margins(0.1)  # room for the names
        if self.log:
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
            axis.xaxis.set_minor_formatter(NullFormatter())
        else:
            axis.locator_params(axis="x", nbins=5)  # sizes of small networks have many digits
        if not axis.lines:
            axis.set_xlim(0.1 if self.log else 0, 1)
            axis.set_ylim(0, 20)
        legend(axis, missing, None if self.published and scale == 1 else "best")


@dataclass(frozen=True)
class Grid(Panel):
    """A panel of mean test errors by two settings, as colours and numbers: `experiments[i][j]` has
    the setting `down[i]` of `y` and `across[j]` of `x`."""

    y: str
    x: str
    down: tuple[str, ...]
    across: tuple[str, ...]
    experiments: tuple[tuple[str, ...], ...]
    dataset: str = C10

    @property
    def rows(self) -> Rows:
        return [(row, self.dataset) for line in self.experiments for row in line]

    def draw(self, axis: Axes, runs: Runs, scale: float | None) -> None:
        means = [[mean_error(runs, (r, self.dataset)) for r in line] for line in self.experiments]
        errors = np.array(means, dtype=float)  # NaN if not measured
        axis.grid(visible=False)
        axis.imshow(errors, cmap="viridis_r", aspect="auto", origin="lower")
        axis.set_xticks(range(len(self.across)), self.across)
        axis.set_yticks(range(len(self.down)), self.down)
        axis.set_xlabel(self.x)
        axis.set_ylabel(self.y)
        known = errors[np.isfinite(errors)]
        middle = (known.min() + known.max()) / 2 if known.size else 0.0
        for (i, j), error in np.ndenumerate(errors):
            colour = "0.5" if np.isnan(error) else "white" if error > middle else "black"
            text = "-" if np.isnan(error) else f"{error:.2f}"
            axis.text(j, i, text, ha="center", va="center", color=colour)
        if not known.size:
            legend(axis, ["all"])


def mean_error(runs: Runs, row: tuple[str, str]) -> float | None:
    """Mean test error in percent over the runs that train, or None if none does."""
    return aggregate(runs.get(row, []), "last").value


def working_errors(runs: Runs, row: tuple[str, str]) -> list[float]:
    """Test error in percent of every run that trains."""
    errors = map(working_error, runs.get(row, []))
    return [error for error in errors if error is not None]


def places(x: str, family: Family) -> Sequence[float]:
    """The horizontal positions of a family's networks."""
    if family.at:
        return family.at
    known = [all_rows()[row] for row in family.rows]
    return [row.params / 1e6 if x.startswith("parameters") else row.macs / 1e9 for row in known]


def _draw_names(
    axis: Axes,
    family: Family,
    at: Sequence[float],
    errors: Sequence[float | None],
    *,
    above: bool,
) -> None:
    """Label the points: to the upper right in one family, to the lower left in the others."""
    offset = (4, 4) if above else (-4, -10)
    for x, y, row in zip(at, errors, family.experiments, strict=True):
        if y is not None and family.name:
            name = row.rpartition(family.name)[2]
            note = axis.annotate(name, (x, y), offset, textcoords="offset points", fontsize=7)
            note.set_horizontalalignment("left" if above else "right")


def _published(family: Family) -> list[float | None]:
    """The published error of each network: the mean, like ours, if there is one."""
    errors: list[float | None] = []
    for row in family.rows:
        table = family.table or row[0].rpartition("/")[0]
        numbers = next((line.reported for line in published.lines(table) if line.row == row), [])
        errors.append(published.typical(numbers).number if numbers else None)
    return errors
