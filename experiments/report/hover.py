"""Where the curves of a drawn figure are, so that a page can show their values under a pointer."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

DIGITS = 4


def axes_of(figure: Figure) -> list[dict[str, Any]]:
    """Every pair of axes that has curves, in a figure that has been drawn.

    Returns:
        `box`: left, bottom, width and height, as fractions of the figure; `x`, `y`: labels;
        `limits` and `log` of the horizontal axis; `lines`: name, colour, and the points' `x`, `y`.
    """
    panels = [_axes(axes) for axes in figure.axes]
    return [axes for axes in panels if axes["lines"]]


def _axes(axes: Axes) -> dict[str, Any]:
    low, high = axes.get_xlim()
    lines = [
        {
            "name": str(line.get_label()).removeprefix("_"),
            "colour": line.get_color(),
            "x": _rounded(line.get_xdata()),
            "y": _rounded(line.get_ydata()),
        }
        for line in axes.get_lines()
        if line.get_transform() == axes.transData  # no level line, whose x are no values
        and len(np.atleast_1d(line.get_xdata())) > 0
        and not str(line.get_label()).startswith("_child")  # guides have no name of their own
    ]
    return {
        "box": [round(float(edge), 5) for edge in axes.get_position().bounds],
        "x": axes.get_xlabel(),
        "y": axes.get_ylabel(),
        "limits": [float(low), float(high)],
        "log": axes.get_xscale() == "log",
        "lines": lines,
    }


def _rounded(values: Any) -> list[float | None]:
    numbers = [float(value) for value in values]
    return [float(f"{v:.{DIGITS + 1}g}") if math.isfinite(v) else None for v in numbers]
