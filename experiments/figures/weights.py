"""Panels of analyses of trained weights, from files that `eval.py run=... analysis=...` writes."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullFormatter

from experiments.figures.panels import C10, CurvesPanel, Panel, Rows, Runs, legend
from experiments.verdicts.records import RunRecord
from records.record import RecordError


@dataclass(frozen=True)
class Responses(CurvesPanel):
    """A panel of the standard deviation of every 3x3 layer's output, one line per network, of its
    lowest seed: in the order of the layers, or `ranked` by magnitude; those in `dashed` dashed."""

    analysis = "responses"
    dashed: tuple[str, ...] = ()
    ranked: bool = False

    def draw(self, axis: Axes, runs: Runs, scale: float | None) -> None:
        axis.set_xlabel("layer" if not self.ranked else "layer, ranked")
        axis.set_ylabel("std of a layer's response, one run")
        axis.set_yscale("log")  # one of a plain network's is ten times the others
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
        missing = []
        for curve in self.curves:
            responses = _analysed(runs.get(curve.row, []), self.analysis)
            if responses is None:
                missing.append(curve.label)
                continue
            std = responses["std"].tolist()
            if self.ranked:
                std.sort(reverse=True)
            line = "--" if curve.experiment in self.dashed else "-"
            axis.plot(
                range(1, len(std) + 1), std, line, color=curve.colour, lw=1.4, label=curve.label
            )
        if not axis.lines:
            axis.set(xlim=(0, 110), ylim=(0.1, 4))
        legend(axis, missing)


@dataclass(frozen=True)
class Reuse(Panel):
    """A panel of the weights that the layers of a dense block give to earlier layers: by target
    (across) and source (down), divided by the largest of each target. What follows the block, a
    transition or the classifier, is framed.

    Attributes:
        bar: whether a colour bar stands beside it.
    """

    analysis = "reuse"
    experiment: str
    block: int
    dataset: str = C10
    bar: bool = False

    @property
    def rows(self) -> Rows:
        return [(self.experiment, self.dataset)]

    def draw(self, axis: Axes, runs: Runs, scale: float | None) -> None:
        axis.set_xlabel("target layer; the last: transition or classifier")
        axis.set_ylabel("source layer; 0: input of the block")
        axis.grid(visible=False)
        reuse = _analysed(runs.get(self.rows[0], []), self.analysis)
        if reuse is None:
            legend(axis, [self.experiment.rpartition("/")[2]])
            return
        block = reuse[reuse["block"] == self.block]
        weights = block.pivot_table(index="source", columns="target", values="weight")
        scaled = weights / weights.max()
        extent = (0.5, len(scaled.columns) + 0.5, len(scaled) - 0.5, -0.5)
        image = axis.imshow(
            scaled.to_numpy(), cmap="viridis", vmin=0, vmax=1, aspect="auto", extent=extent
        )
        last = (len(scaled.columns) - 0.5, -0.5)
        axis.add_patch(Rectangle(last, 1, len(scaled), fill=False, color="black", clip_on=False))
        if self.bar:
            figure = axis.get_figure(root=True)
            assert figure is not None
            bar = figure.colorbar(image, ax=axis)
            bar.set_label("mean |weight|, over the target's largest")


def _analysed(records: Sequence[RunRecord], name: str) -> pd.DataFrame | None:
    """An analysis of the lowest seed that has an intact one, or None."""
    for record in records:
        try:
            frame = record.analysis(name)
        except RecordError as error:
            print(f"Left out: {error}", file=sys.stderr)
            continue
        if frame is not None:
            return frame
    return None
