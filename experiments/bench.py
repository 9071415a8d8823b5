"""Draw what `make bench` measured: results/bench/<device>.csv to a figure beside it."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from experiments import curves, published
from experiments.curves import BLUE, GREEN, ORANGE, PINK, RED, SKY, STYLE

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
BAR, PANEL = 0.24, 0.62  # inches of a bar, and of a panel beside its bars


def draw(path: Path) -> list[Path]:
    """Draw one panel a network, a bar a loop; the pictures' paths."""
    frame = pd.read_csv(path)
    panels = {str(name): rows for name, rows in frame.groupby("network", sort=False)}
    bars = [len(rows) for rows in panels.values()]
    height = BAR * sum(bars) + PANEL * len(panels)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            len(panels), 1, figsize=(6.8, max(2.0, height)), layout="constrained", squeeze=False,
            height_ratios=[BAR * count + 0.12 for count in bars],
        )  # fmt: skip
        for ax, (name, rows) in zip(axes[:, 0], panels.items(), strict=True):
            draw_network(ax, name, rows)
        figure.align_ylabels()
        device, unit = frame["device"].iloc[-1], str(frame["unit"].iloc[-1])
        figure.supxlabel(f"training, {unit.replace('/', ' per ')}: {device}", fontsize=9)
        if "floor_ms" in frame:
            line = Line2D([], [], color="k", lw=1.4, label="what bandwidth and launches allow")
            figure.legend(handles=[line], loc="outside upper right", frameon=False, fontsize=8)
    return curves.save(figure, path.with_suffix(""))


def draw_network(ax: Axes, name: str, rows: pd.DataFrame) -> None:
    """Bars of the loops on one network, each with its speed and a ratio; the fastest possible as a
    line across the bar."""
    speeds = rows["images_per_second"]
    colours = [COLOURS.get(str(loop).split()[0], PINK) for loop in rows["loop"]]
    bars = ax.barh(range(len(rows)), speeds, color=colours, height=0.72)
    batch = int(rows["batch"].iloc[0])
    ax.set_yticks(range(len(rows)), [loop_label(row, rows) for _, row in rows.iterrows()])
    ax.tick_params(axis="y", length=0, labelsize=8)
    ax.tick_params(axis="x", labelsize=8)
    ax.bar_label(bars, [speed_label(row) for _, row in rows.iterrows()], padding=4, fontsize=8)
    ax.invert_yaxis()
    longest = speeds.max()
    if "floor_ms" in rows:
        most = 1000 * rows["batch"] / rows["floor_ms"]
        for place, value in enumerate(most):
            if pd.notna(value):
                ax.plot([value] * 2, [place - 0.42, place + 0.42], color="k", lw=1.4)
        longest = max(longest, most.max())
    ax.set_title(f"{name}, batch {batch}", loc="left", fontsize=9, fontweight="bold")
    ax.set_xlim(0, 1.42 * longest)
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


def speed_label(row: pd.Series) -> str:
    """What stands behind a bar: `349 (1.44 × conventional)`."""
    speed = row["images_per_second"]
    text = f"{speed:,.0f}" if speed >= 100 else f"{speed:.3g}"
    known = [(row[key], base) for key, base in RATIOS.items() if pd.notna(row.get(key))]
    if not known or known[0][0] == 1:  # nothing to compare with, or the base itself
        return text
    ratio, base = known[0]
    return f"{text} ({ratio:.2f} × {base})"


def main() -> None:
    """Draw every machine's benchmark."""
    for path in sorted(FOLDER.glob("*.csv")):
        for drawn in draw(path):
            print(drawn.relative_to(published.ROOT))


if __name__ == "__main__":
    main()
