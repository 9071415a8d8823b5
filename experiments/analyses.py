"""Panels of what trained weights show, from files that `eval.py run=... analysis=...` writes."""

import sys

import pandas as pd
from matplotlib.axes import Axes

from experiments.panels import Responses, Reuse
from experiments.points import Runs, legend
from experiments.records import RecordError


def draw_responses(axis: Axes, panel: Responses, runs: Runs) -> None:
    """Standard deviation of every 3x3 layer's output, a line a network."""
    axis.set_title(panel.title)
    axis.set_xlabel("layer" if not panel.ranked else "layer, ranked")
    axis.set_ylabel("standard deviation")
    missing = []
    for curve in panel.curves:
        found = _analysed(runs, curve.experiment, curve.dataset, "responses")
        if found is None:
            missing.append(curve.label)
            continue
        std = found["std"].tolist()
        if panel.ranked:
            std.sort(reverse=True)
        axis.plot(range(1, len(std) + 1), std, color=curve.colour, lw=1.4, label=curve.label)
    if not axis.lines:
        axis.set_xlim(0, 110)
    axis.set_ylim(0, None if axis.lines else 4)
    legend(axis, missing)


def draw_reuse(axis: Axes, panel: Reuse, runs: Runs) -> None:
    """Mean weight by target (across) and source (down), over the largest of each target."""
    axis.set_title(panel.title)
    axis.set_xlabel("target layer; the last: transition or classifier")
    axis.set_ylabel("source layer; 0: input of the block")
    axis.grid(visible=False)
    found = _analysed(runs, panel.experiment, panel.dataset, "reuse")
    if found is None:
        legend(axis, [panel.experiment.rpartition("/")[2]])
        return
    block = found[found["block"] == panel.block]
    weights = block.pivot_table(index="source", columns="target", values="weight")
    scaled = weights / weights.max()
    extent = (0.5, len(scaled.columns) + 0.5, len(scaled) - 0.5, -0.5)
    axis.imshow(scaled.to_numpy(), cmap="viridis", vmin=0, vmax=1, aspect="auto", extent=extent)


def _analysed(runs: Runs, experiment: str, dataset: str, name: str) -> pd.DataFrame | None:
    """An analysis of the run of the lowest seed that has an intact one, or None."""
    for record in runs.get((experiment, dataset), []):
        try:
            frame = record.analysis(name)
        except RecordError as error:
            print(f"Left out: {error}", file=sys.stderr)
            continue
        if frame is not None:
            return frame
    return None
