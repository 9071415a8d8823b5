"""Building blocks of figures: panels, whose kinds are in files beside this one, and their curves.

A kind of panel is a dataclass that knows which rows it shows and how to draw itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import ClassVar, Literal

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from experiments.verdicts.records import RunRecord
from records.record import RecordError

# Okabe and Ito's colours, which colour-blind readers can tell apart.
ORANGE, SKY, GREEN = "#E69F00", "#56B4E9", "#009E73"
RED, BLUE, PINK, BLACK = "#D55E00", "#0072B2", "#CC79A7", "#000000"
C10, C100 = "cifar10_aug", "cifar100_aug"
MISSING = "not measured yet"
WIDE = 4  # names, from which a legend has two columns
BELOW = -36  # points from the bottom of a panel: below the label of its axis

Rows = list[tuple[str, str]]  # experiment and data set of each
Runs = dict[tuple[str, str], list[RunRecord]]  # the runs of each row, by seed


@dataclass(frozen=True)
class Panel(ABC):
    """A panel of a figure.

    Attributes:
        analysis: the analysis of its rows' weights by eval.py that it shows, if any.
    """

    title: str
    analysis: ClassVar[str | None] = None

    @property
    @abstractmethod
    def rows(self) -> Rows:
        """The rows that it shows."""

    def shows(self, run: RunRecord) -> bool:
        """Whether a run of a kept preset has anything to show here."""
        if run.row not in self.rows or self.analysis is None:
            return run.row in self.rows
        try:
            return run.analysis(self.analysis) is not None
        except RecordError:  # drawing will report it
            return True

    def key(self, runs: Runs, scale: float | None) -> Sequence[Line2D]:
        """Legend entries to show above the figure, if any; arguments as for `draw`."""
        return ()

    @abstractmethod
    def draw(self, axis: Axes, runs: Runs, scale: float | None) -> None:
        """Draw it, and name what has not run.

        Args:
            scale: the share of the paper's schedule that the runs did; None for shortened runs,
                which complete no schedule.
        """


@dataclass(frozen=True)
class Curve:
    """One network on one data set."""

    experiment: str
    label: str
    colour: str
    dataset: str = C10

    @property
    def row(self) -> tuple[str, str]:
        return self.experiment, self.dataset


@dataclass(frozen=True)
class CurvesPanel(Panel):
    """A panel with a line for each of its networks."""

    curves: tuple[Curve, ...]

    @property
    def rows(self) -> Rows:
        return [curve.row for curve in self.curves]


def pair(first: tuple[str, str], second: tuple[str, str], data: str = C10) -> tuple[Curve, ...]:
    """Two networks to compare, each given by its row and label."""
    return (Curve(*first, BLUE, data), Curve(*second, RED, data))


def legend(
    axis: Axes, missing: Sequence[str], where: Literal["upper right", "best"] | None = "upper right"
) -> None:
    """Add a legend to the panel, unless `where` is None, and name what has not been measured below
    it, where the note hides no curve."""
    if missing:
        whole = (name.replace(" ", "\N{NO-BREAK SPACE}") for name in missing)
        text = fill(f"{MISSING}: " + ", ".join(whole), 48, break_on_hyphens=False)
        note = axis.annotate(text, (0.5, 0), (0, BELOW), "axes fraction", "offset points")
        note.set(horizontalalignment="center", verticalalignment="top", fontsize=8, color="0.4")
    names = [line for line in axis.lines if not str(line.get_label()).startswith("_")]
    if where and names:
        columns = 1 if len(names) < WIDE else 2  # so that it stays above the curves
        axis.legend(loc=where, fontsize=8, framealpha=0.8, edgecolor="none", ncols=columns,
                    handlelength=1.3, columnspacing=1)  # fmt: skip
