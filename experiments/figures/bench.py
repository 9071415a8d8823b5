"""Draw what `make bench` measured: results/bench/<device>.csv to a figure beside it."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import blended_transform_factory

from experiments.figures import drawing
from experiments.figures.panels import BLUE, GREEN, PINK, SKY
from records.command import argument_parser, guarded
from records.files import ROOT

FOLDER = ROOT / "results" / "bench"
# By the last word of a loop's name.
COLOURS = {
    "conventional": "#999999", "eager": SKY, "captured": BLUE, "fused": GREEN,
    "compiled_model": PINK,
}  # fmt: skip
UNITS = {"images/s": "images per second", "images/CPU-second": "images per CPU-second"}
BAR, FRAME = 0.24, 0.62  # height in inches of a bar, and of a panel without its bars


def draw(path: Path) -> list[Path]:
    """Draw one panel per network, two side by side, with one bar per loop; return the files."""
    table = pd.read_csv(path)
    panels = [(str(name), rows) for name, rows in table.groupby("network", sort=False)]
    columns = min(2, len(panels))
    bars = [
        max(len(rows) for _, rows in panels[first : first + columns])
        for first in range(0, len(panels), columns)
    ]
    size = (5.2 * columns, BAR * sum(bars) + FRAME * len(bars) + 0.4)
    with plt.rc_context(drawing.STYLE):
        figure, grid = plt.subplots(
            len(bars), columns, figsize=size, squeeze=False, height_ratios=bars,
            layout="constrained",
        )  # fmt: skip
        for ax in grid.flat[len(panels) :]:
            ax.set_axis_off()
        for place, (ax, (name, rows)) in enumerate(zip(grid.flat, panels, strict=False)):
            draw_network(ax, name, rows, bars[place // columns])
        device, unit = table["device"].iloc[-1], UNITS[str(table["unit"].iloc[-1])]
        figure.supxlabel(f"training, {unit}: {device}", fontsize=9)
        if table["floor_ms"].notna().any():
            line = Line2D([], [], color="k", ls="", marker="|", ms=10, mew=1.4,
                          label="what bandwidth and launches allow")  # fmt: skip
            figure.legend(handles=[line], loc="outside upper right", frameon=False, fontsize=8)
    return drawing.save(figure, path.with_suffix(""))


def draw_network(ax: Axes, name: str, rows: pd.DataFrame, room: int) -> None:
    """Draw the bars of one network's loops, with their speeds in a column, in a panel with space
    for `room` bars; a line across a bar marks the fastest possible."""
    speeds, most = rows["images_per_second"], 1000 * rows["batch"] / rows["floor_ms"]
    colours = [COLOURS[str(loop).split()[-1]] for loop in rows["loop"]]
    ax.barh(range(len(rows)), speeds, color=colours, height=0.74)
    ends = most.where(most > speeds, speeds)
    column = blended_transform_factory(ax.transAxes, ax.transData)
    for place, limit in enumerate(most):
        ax.plot([limit] * 2, [place - 0.4, place + 0.4], color="k", lw=1.4)
        ax.text(1, place, label(rows, place), transform=column, ha="right", va="center", fontsize=8)
    several = rows["precision"].nunique() > 1
    names = rows["loop"].str.replace("_", " ") + (" " + rows["precision"] if several else "")
    ax.set_yticks(range(len(rows)), names)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(labelsize=8)
    ax.set_ylim(room - 0.5, -0.5)
    ax.set_xlim(0, 1.7 * ends.max())
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    ax.set_title(f"{name}, batch {rows['batch'].iloc[0]}", loc="left", fontsize=9, weight="bold")
    ax.grid(axis="y", visible=False)
    ax.set_axisbelow(True)


def label(rows: pd.DataFrame, place: int) -> str:
    """The label of a bar: `349 (1.44 × conventional)`."""
    row, first = rows.iloc[place], str(rows["loop"].iloc[0])
    speed = row["images_per_second"]
    text = f"{speed:,.0f}" if speed >= 100 else f"{speed:.1f}"
    return f"{text} ({row['to_first']:.2f} × {first})" if place else text


@guarded
def main() -> None:
    """Draw every machine's benchmark."""
    for path in sorted(FOLDER.glob("*.csv")):
        for drawn in draw(path):
            print(drawn.relative_to(ROOT))


if __name__ == "__main__":
    argument_parser(__doc__).parse_args()
    sys.exit(main())
