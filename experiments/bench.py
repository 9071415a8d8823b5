"""Draw what `make bench` measured: results/bench/<device>.csv to a figure beside it."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D

from experiments import curves, published
from experiments.colours import BLUE, GREEN, ORANGE, PINK, RED, SKY
from experiments.curves import STYLE

FOLDER = published.ROOT / "results" / "bench"
GREY = "#999999"
COLOURS = {
    "conventional": GREY, "eager": SKY, "captured": BLUE, "compiled": ORANGE,
    "compiled_model": PINK, "fused": GREEN, "efficient": RED,
    "constant": SKY, "skipping": GREEN, "gates": BLUE,
}  # fmt: skip
# Ratios, the most telling first, and what they are to.
RATIOS = {
    "to_constant_depth": "constant depth",
    "to_conventional": "conventional",
    "to_eager": "eager",
}
UNITS = {"images/s": "images per second", "images/CPU-second": "images per CPU-second"}
BAR, PANEL = 0.24, 0.62  # inches of a bar, and of a panel beside its bars
COLUMN = 30  # bars that stand below each other at most


def draw(path: Path) -> list[Path]:
    """Draw one panel a network, a bar a loop; the pictures' paths."""
    frame = pd.read_csv(path)
    panels = [(str(name), rows) for name, rows in frame.groupby("network", sort=False)]
    columns = [panels]
    if len(frame) > COLUMN and len(panels) > 1:
        ends = frame.groupby("network", sort=False).size().cumsum()
        first = max(1, (ends <= 0.6 * len(frame)).sum())
        columns = [panels[:first], panels[first:]]
    heights = [sum(BAR * len(rows) + PANEL for _, rows in column) for column in columns]
    size = 6.8 * len(columns), max(2.0, max(heights) + 0.4)
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=size, layout="constrained")
        parts = figure.subfigures(1, len(columns), squeeze=False)[0]
        for part, column, height in zip(parts, columns, heights, strict=True):
            draw_column(part, column, (max(heights) - height) / BAR)
        device, unit = frame["device"].iloc[-1], UNITS[str(frame["unit"].iloc[-1])]
        figure.supxlabel(f"training, {unit}: {device}", fontsize=9)
        if "floor_ms" in frame:
            line = Line2D([], [], color="k", lw=1.4, label="what bandwidth and launches allow")
            figure.legend(handles=[line], loc="outside upper right", frameon=False, fontsize=8)
    return curves.save(figure, path.with_suffix(""))


def draw_column(part: SubFigure, panels: list[tuple[str, pd.DataFrame]], rest: float) -> None:
    """Panels below each other, each as high as its bars; room for `rest` more stays empty."""
    heights = [len(rows) for _, rows in panels] + ([rest] if rest > 0.1 else [])
    axes = part.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, (name, rows) in zip(axes, panels, strict=False):
        draw_network(ax, name, rows)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()


def draw_network(ax: Axes, name: str, rows: pd.DataFrame) -> None:
    """Bars of the loops on one network, each with its speed and a ratio; the fastest possible as a
    line across the bar."""
    speeds = rows["images_per_second"]
    colours = [COLOURS.get(str(loop).split()[0], GREEN) for loop in rows["loop"]]
    ax.barh(range(len(rows)), speeds, color=colours, height=0.74)
    batch = int(rows["batch"].iloc[0])
    ax.set_yticks(range(len(rows)), [loop_label(row, rows) for _, row in rows.iterrows()])
    ax.tick_params(axis="y", length=0, labelsize=8)
    ax.tick_params(axis="x", labelsize=8)
    memory = "efficient" in set(rows["loop"])  # which is there to save it
    ends = speeds.copy()
    if "floor_ms" in rows:
        most = 1000 * rows["batch"] / rows["floor_ms"]
        ends = pd.concat([speeds, most], axis=1).max(axis=1)
        for place, value in enumerate(most):
            if pd.notna(value):
                ax.plot([value] * 2, [place - 0.4, place + 0.4], color="k", lw=1.4)
    for place, (end, (_, row)) in enumerate(zip(ends, rows.iterrows(), strict=True)):
        ax.annotate(
            speed_label(row, memory=memory), (end, place), (4, 0), textcoords="offset points",
            va="center", fontsize=8,
        )  # fmt: skip
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlim(0, (1.6 if memory else 1.45) * ends.max())
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    ax.set_title(f"{name}, batch {batch}", loc="left", fontsize=9, fontweight="bold")
    ax.grid(axis="y", visible=False)
    ax.set_axisbelow(True)


def loop_label(row: pd.Series, rows: pd.DataFrame) -> str:
    """What stands before a bar: the loop, and what of it is not the same in the whole panel."""
    words = [str(row["loop"]).replace("_", " ")]
    if rows["precision"].nunique() > 1:
        words.append(str(row["precision"]))
    if row["batch"] != rows["batch"].iloc[0]:
        words.append(f"batch {row['batch']}")
    return " ".join(words)


def speed_label(row: pd.Series, *, memory: bool = False) -> str:
    """What stands behind a bar: `349 (1.44 × conventional)`, with the memory where it matters."""
    speed = row["images_per_second"]
    text = f"{speed:,.0f}" if speed >= 100 else f"{speed:.3g}"
    ratios = [(row[key], base) for key, base in RATIOS.items() if pd.notna(row.get(key))]
    known = [f"{ratio:.2f} × {base}" for ratio, base in ratios[:1] if ratio != 1]
    if memory:
        known.append(f"{row['megabytes'] / 1000:.1f} GB")
    return f"{text} ({', '.join(known)})" if known else text


def main() -> None:
    """Draw every machine's benchmark."""
    for path in sorted(FOLDER.glob("*.csv")):
        for drawn in draw(path):
            print(drawn.relative_to(published.ROOT))


if __name__ == "__main__":
    main()
