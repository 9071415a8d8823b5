"""Published errors against ours: one dot per row, over all tables of all papers."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from experiments.figures.drawing import STYLE
from experiments.figures.panels import BLUE, GREEN, ORANGE, RED

COLOURS = {"reproduced": GREEN, "better": BLUE, "undecided": ORANGE}
OTHER = RED  # worse, or failing
GREY = "0.45"
SIZE = 5.2  # inches
NAMED = 16  # most dots for which names are drawn
# Fractions of the axes: width of a letter, height of a line, from a dot's middle to its name.
LETTER, LINE, GAP = 0.0113, 0.026, 0.018


@dataclass(frozen=True)
class Dot:
    """A row: its name, the published error and ours in percent, the 90 % interval of our mean, the
    verdict (None if there is none) and its margin in points."""

    name: str
    published: float
    ours: float
    interval: tuple[float, float] | None
    verdict: str | None
    margin: float


def draw(dots: Sequence[Dot], schedule: str = "") -> Figure:
    """Draw the figure of one or more dots.

    Args:
        schedule: our schedule, if not the papers': the two errors are then not comparable.
    """
    with mpl.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(SIZE, SIZE), layout="constrained")
        axis.set_xlabel("published test error (%)")
        _frame(axis, dots, alike=not schedule)
        for verdict in dict.fromkeys(dot.verdict for dot in dots):
            label = verdict or ("_ours" if schedule else "read off a figure")
            _group(axis, [dot for dot in dots if dot.verdict == verdict], verdict, label)
        if len(dots) <= NAMED:
            _names(axis, dots, alike=not schedule)
        if schedule:
            axis.set_title(f"On {schedule} of the schedule:\ncompare rows with each other", size=9)
            axis.set_ylabel(f"ours, on {schedule} of the schedule (%)")
        else:
            axis.set_ylabel("ours, with 90 % interval (%)")
            axis.legend(loc="upper left", fontsize=8, framealpha=0.8, edgecolor="none")
        figure.draw_without_rendering()
    return figure


def _frame(axis: Axes, dots: Sequence[Dot], *, alike: bool) -> None:
    """Set limits and scales: the same scale both ways for errors that are `alike`, with a diagonal
    for perfect reproduction and its margins; otherwise a logarithmic one for ours."""
    published, ours = [dot.published for dot in dots], [dot.ours for dot in dots]
    if not alike:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axis.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set(xlim=_limits(published), ylim=(0.8 * min(ours), 1.25 * max(ours)))
        return
    ends = [end for dot in dots for end in dot.interval or ()]
    low, high = _limits([*published, *ours, *ends])
    axis.set_aspect("equal")
    axis.set(xlim=(low, high), ylim=(low, high))
    axis.axline((low, low), slope=1, color="0.3", lw=0.8, label="_diagonal")
    for margin in sorted({dot.margin for dot in dots}):
        band = [low - margin, high - margin], [low + margin, high + margin]
        name = f"within {margin:g} points"
        axis.fill_between([low, high], *band, color="0.5", alpha=0.18, lw=0, label=name)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    room = max(0.5, 0.08 * (max(values) - min(values)))
    return max(0.0, min(values) - room), max(values) + room


def _group(axis: Axes, dots: Sequence[Dot], verdict: str | None, label: str) -> None:
    """Plot the dots of one verdict, filled, or hollow if they have none."""
    colour = GREY if verdict is None else COLOURS.get(verdict, OTHER)
    x, y = [dot.published for dot in dots], [dot.ours for dot in dots]
    fill = "none" if verdict is None else colour
    axis.plot(x, y, "o", color=colour, ms=5, mfc=fill, label=label, zorder=3)
    for dot in dots:
        if dot.interval is not None and verdict is not None:
            axis.vlines(dot.published, *dot.interval, color=colour, lw=1, zorder=2)


def _names(axis: Axes, dots: Sequence[Dot], *, alike: bool) -> None:
    """Write names beside the dots, on the side away from the diagonal if there is room, or above or
    below; left out if there is none anywhere."""

    def on_page(published: float, ours: float) -> tuple[float, float]:
        x, y = axis.transAxes.inverted().transform(axis.transData.transform((published, ours)))
        return float(x), float(y)

    at = [on_page(d.published, d.ours) for d in dots]
    taken = []  # left, right, bottom and top of dots with their intervals, then of names
    for dot, (x, y) in zip(dots, at, strict=True):
        drawn = dot.interval if dot.verdict is not None and dot.interval else ()
        ends = [on_page(dot.published, end)[1] for end in drawn]
        taken.append((x - GAP, x + GAP, min([y - LINE / 2, *ends]), max([y + LINE / 2, *ends])))
    for dot, (x, y) in sorted(zip(dots, at, strict=True), key=lambda one: -one[1][1]):
        width, step = LETTER * len(dot.name), 1.1 * LINE
        sides = [(x + GAP, "left"), (x - GAP, "right")]
        if alike and dot.ours > dot.published:
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
            if free and start >= 0 and start + width <= 1:
                taken.append((start, start + width, bottom, top))
                axis.text(where, height, dot.name, fontsize=7, transform=axis.transAxes,
                          va="center_baseline", ha=align)  # fmt: skip
                break
