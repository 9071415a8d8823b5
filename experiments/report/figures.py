"""Figures for the report: drawn, saved, and embedded in the page with their values, which it shows
on hover."""

import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import compile
from experiments.figures import drawing
from experiments.papers import published
from experiments.report.runs import address, slug
from experiments.tables.overview import Overview
from experiments.verdicts.records import RunRecord
from records.names import compiled_folder

AGAINST = "against_paper"  # the figure of all rows
PANEL = 24  # width of one, in rem
# Characters that a data URL may contain unescaped, besides letters and digits.
SAFE = " /:;,=()'!?@&+*-._~<>"
DIGITS = 4


def view(figure: str, records: Sequence[RunRecord], preset: str) -> dict[str, Any]:
    """Draw a figure from the records of a preset, save it, and return it for the template."""
    drawn = compile.draw_figure(figure, preset, records)
    command = f"make reproduce-table TABLE={figure} PRESET={preset} YES=1"
    return _view(drawn, figure, compile.figure_heading(figure), command, preset)


def against(total: Overview, preset: str) -> dict[str, Any] | None:
    """Draw and save published errors against ours likewise; None if no row has both."""
    drawn = compile.draw_against(total)
    view = _view(drawn, AGAINST, "Published test errors, and ours", "make report", preset)
    return view if drawn else None


def _view(drawn: Figure | None, name: str, title: str, command: str, preset: str) -> dict[str, Any]:
    """A figure for the template: its picture as a data URL, empty if nothing has run, with a text
    in its place, its width on the page, and the values of its curves."""
    view: dict[str, Any] = {
        "anchor": f"figure-{slug(name)}",
        "paper": published.paper_of(name),
        "title": title,
        "picture": "",
        "axes": [],
        "command": command,
    }
    files = drawing.save(drawn, compiled_folder(preset) / "figures" / name)
    if drawn is None:
        return view
    _, svg = files
    axes = axes_of(drawn)
    return view | {
        "picture": f"data:image/svg+xml,{quote(svg.read_text(encoding='utf-8'), safe=SAFE)}",
        "width": round(PANEL * drawn.get_figwidth() / drawing.WIDTH),
        "alt": f"{title}. {_ends(axes)}",
        "axes": axes,
        "files": [(kind, address(preset, f"figures/{name}.{kind}")) for kind in ("png", "svg")],
    }


def axes_of(figure: Figure) -> list[dict[str, Any]]:
    """All axes with curves, in a figure that has been drawn.

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
        if line.get_transform() == axes.transData  # no level lines: their x is in axes units
        and len(np.atleast_1d(line.get_xdata())) > 0
        and not str(line.get_label()).startswith("_child")  # unnamed guide lines
    ]
    return {
        "box": [round(float(edge), 5) for edge in axes.get_position().bounds],
        "x": axes.get_xlabel(),
        "y": axes.get_ylabel(),
        "limits": [float(low), float(high)],
        "log": axes.get_xscale() == "log",
        "lines": lines,
    }


def _ends(panels: Sequence[dict[str, Any]]) -> str:
    """Where the lines of a figure end, for those who do not see it."""
    return " ".join(
        f"{axes['y']}, at the end: {', '.join(map(_end, axes['lines']))}." for axes in panels
    )


def _end(line: dict[str, Any]) -> str:
    last = line["y"][-1]
    return f"{line['name']} {'-' if last is None else format(last, '.4g')}"


def _rounded(values: Any) -> list[float | None]:
    numbers = [float(value) for value in values]
    return [float(f"{v:.{DIGITS + 1}g}") if math.isfinite(v) else None for v in numbers]
