"""Published errors against ours: one dot per row, over all tables of all papers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.figures.drawing import STYLE
from experiments.figures.panels import BLUE, GREEN, ORANGE, RED

COLOURS = {"reproduced": GREEN, "better": BLUE, "undecided": ORANGE}
OTHER = RED  # worse, or failing
MARKERS = {"reproduced": "o", "better": "v", "undecided": "D", "worse": "^"}
READING = 0.5  # points to which a number can be read off a figure
GREY = "0.45"
SIZE = 5.2  # inches
NAMED = 16  # most dots for which names are drawn
# Fractions of the axes: width of a letter, height of a line, from a dot's middle to its name.
LETTER, LINE, GAP = 0.0113, 0.026, 0.018


@dataclass(frozen=True)
class Dot:
    """A row: its name, the published error and ours in percent, the 90 % interval of our mean and
    its number of runs, the verdict (None if the published error was read off a figure) and its
    margin in points."""

    name: str
    published: float
    ours: float
    interval: tuple[float, float] | None
    runs: int
    verdict: str | None
    margin: float


def draw(dots: Sequence[Dot]) -> Figure:
    """Draw the figure of one or more dots, all of the full schedule."""
    with mpl.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(SIZE, SIZE), layout="constrained")
        axis.set_xlabel("published test error (%)")
        single = "one run each, " if all(dot.runs == 1 for dot in dots) else ""
        axis.set_ylabel(f"ours, {single}with 90 % interval (%)")
        named = _frame(axis, dots)
        for verdict in dict.fromkeys(dot.verdict for dot in dots):
            named.append(_group(axis, [dot for dot in dots if dot.verdict == verdict], verdict))
        if len(dots) <= NAMED:
            _names(axis, dots)
        axis.legend(handles=named, loc="upper left", fontsize=8, framealpha=0.8, edgecolor="none")
        figure.draw_without_rendering()
    return figure


def _frame(axis: Axes, dots: Sequence[Dot]) -> list[Artist]:
    """Set the same limits both ways and draw a diagonal for perfect reproduction with its margins,
    which are returned for the legend."""
    ends = [end for dot in dots for end in dot.interval or ()]
    low, high = _limits([*(d.published for d in dots), *(d.ours for d in dots), *ends])
    axis.set_aspect("equal")
    axis.set(xlim=(low, high), ylim=(low, high))
    axis.axline((low, low), slope=1, color="0.3", lw=0.8, label="_diagonal")
    bands: list[Artist] = []
    for margin in sorted({dot.margin for dot in dots}):
        band = [low - margin, high - margin], [low + margin, high + margin]
        name = f"within {margin:g} points"
        bands.append(
            axis.fill_between([low, high], *band, color="0.5", alpha=0.18, lw=0, label=name)
        )
    return bands


def _limits(values: Sequence[float]) -> tuple[float, float]:
    room = max(0.5, 0.08 * (max(values) - min(values)))
    return max(0.0, min(values) - room), max(values) + room


def _group(axis: Axes, dots: Sequence[Dot], verdict: str | None) -> Artist:
    """Plot the dots of one verdict, hollow if they have none; return an entry for the legend."""
    colour = GREY if verdict is None else COLOURS.get(verdict, OTHER)
    marker = MARKERS.get(verdict or "", "o")
    style: dict[str, Any] = {"marker": marker, "ls": "", "color": colour, "ms": 5, "zorder": 3}
    style["mfc"] = "none" if verdict is None else colour
    for dot in dots:  # the page shows their names under the pointer
        axis.plot([dot.published], [dot.ours], label=f"_{dot.name}", **style)
        if dot.interval is not None:
            axis.vlines(dot.published, *dot.interval, color=colour, lw=1, zorder=2)
        if verdict is None:
            ends = dot.published - READING, dot.published + READING
            axis.hlines(dot.ours, *ends, color=colour, lw=1, zorder=2)
    return Line2D([], [], label=verdict or "read off a figure", **style)


def _names(axis: Axes, dots: Sequence[Dot]) -> None:
    """Write names beside the dots, on the side away from the diagonal if there is room, or above or
    below; left out if there is none anywhere."""

    def on_page(published: float, ours: float) -> tuple[float, float]:
        x, y = axis.transAxes.inverted().transform(axis.transData.transform((published, ours)))
        return float(x), float(y)

    at = [on_page(d.published, d.ours) for d in dots]
    taken = []  # left, right, bottom and top of dots with their bars, then of names
    for dot, (x, y) in zip(dots, at, strict=True):
        ends = [on_page(dot.published, end)[1] for end in dot.interval or ()]
        taken.append((x - GAP, x + GAP, min([y - LINE / 2, *ends]), max([y + LINE / 2, *ends])))
        if dot.verdict is None:
            reading = on_page(dot.published + READING, dot.ours)[0] - x
            taken.append((x - reading, x + reading, y, y))
    for dot, (x, y) in sorted(zip(dots, at, strict=True), key=lambda one: -one[1][1]):
        width, step = LETTER * len(dot.name), 1.1 * LINE
        sides = [(x + GAP, "left"), (x - GAP, "right")]
        if dot.ours > dot.published:
            sides.reverse()
        beside = [(side, y + up, align) for side, align in sides for up in (0, step, -step)]
        middle = min(max(x, width / 2), 1 - width / 2)
        for where, height, align in (
            *beside, (middle, y - step, "center"), (middle, y + step, "center")
        ):  # fmt: skip
            start = where - width * {"left": 0, "center": 0.5, "right": 1}[align]
            bottom, top = height - LINE / 2, height + LINE / 2
            free = all(start >= right or start + width <= left or bottom > high or top < low
                       for left, right, low, high in taken)  # fmt: skip
            free &= top < start or bottom > start + width  # the diagonal
            if free and start >= 0 and start + width <= 1:
                taken.append((start, start + width, bottom, top))
                axis.text(where, height, dot.name, fontsize=7, transform=axis.transAxes,
                          va="center_baseline", ha=align)  # fmt: skip
                break
