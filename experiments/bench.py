"""Draw what `make bench` measured: results/bench/<device>.csv to a figure beside it."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from experiments import published
from experiments.curves import BLUE, GREEN, ORANGE, PINK, RED, SKY, STYLE

FOLDER = published.ROOT / "results" / "bench"
GREY = "#999999"
COLOURS = {
    "conventional": GREY, "eager": SKY, "captured": BLUE, "compiled": ORANGE,
    "compiled_model": PINK, "fused": GREEN, "efficient": RED,
}  # fmt: skip


def draw(path: Path) -> list[Path]:
    """Draw one panel a network, a bar a loop; the pictures' paths."""
    frame = pd.read_csv(path)
    networks = list(dict.fromkeys(frame["network"]))
    heights = [max(2, (frame["network"] == name).sum()) for name in networks]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            len(networks), 1, figsize=(6.4, 0.9 + 0.42 * sum(heights) + 0.35 * len(networks)),
            height_ratios=heights, layout="constrained", squeeze=False,
        )  # fmt: skip
        for ax, name in zip(axes[:, 0], networks, strict=True):
            draw_network(ax, name, frame[frame["network"] == name])
        axes[-1, 0].set_xlabel(f"{frame['unit'].iloc[0]}, {frame['device'].iloc[0]}")
        paths = [path.with_suffix(suffix) for suffix in (".png", ".svg")]
        for target in paths:
            metadata = {"Date": None} if target.suffix == ".svg" else {"Software": None}
            figure.savefig(target, dpi=160, metadata=metadata)
        plt.close(figure)
    return paths


def draw_network(ax: Axes, name: str, rows: pd.DataFrame) -> None:
    """Bars of the loops on one network, each with its time and its ratio to the slowest kind."""
    rows = rows.iloc[::-1]
    colours = [COLOURS.get(loop.split()[0], GREY) for loop in rows["loop"]]
    bars = ax.barh(rows["loop"], rows["images_per_second"], color=colours, height=0.7)
    ax.bar_label(bars, [label(row) for _, row in rows.iterrows()], padding=3, fontsize=8)
    ax.set_title(f"{name}, batch {rows['batch'].iloc[0]}", loc="left", fontsize=9)
    ax.set_xlim(0, 1.45 * rows["images_per_second"].max())
    ax.grid(axis="y", visible=False)


def label(row: pd.Series) -> str:
    """What stands beside a bar: `349 (x1.44)`."""
    bases = [key for key in row.index if key.startswith("to_") and pd.notna(row[key])]
    base = next((key for key in bases if key != "to_eager"), None)
    ratio = f" (×{row[base]:.2f})" if base is not None and row[base] != 1 else ""
    return f"{row['images_per_second']:,.0f}{ratio}"


def main() -> None:
    """Draw every machine's benchmark."""
    for path in sorted(FOLDER.glob("*.csv")):
        for drawn in draw(path):
            print(drawn.relative_to(published.ROOT))


if __name__ == "__main__":
    main()
