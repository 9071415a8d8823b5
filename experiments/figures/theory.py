"""Draw what `make theory` measured, each panel with its equation: results/theory/."""

import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from experiments.figures import drawing
from experiments.figures.panels import BLACK, BLUE, GREEN, ORANGE, PINK, RED, SKY
from records.command import argument_parser, guarded
from records.files import write_atomically
from records.names import results

COLOURS = {
    "full pre-activation": BLUE, "original": ORANGE, "scaling 0.5": GREEN, "exclusive gate": PINK,
    "plain": RED, "stochastic depth": SKY, "DenseNet": BLACK, "start": "0.6", "trained": ORANGE,
}  # fmt: skip
NOTE = (
    "Small networks (38 layers; DenseNet 22), one run each, trained for 399 iterations on 16x16 "
    "digits; one of the 297 test images is 0.34 %."
)
DASHED = (
    "Dashed: the whole network, as it is evaluated. With stochastic depth this scales each branch "
    "by its survival; sub-networks have their branches in full, as in training."
)
# Panel, title, equation and source, axis labels, and whether the vertical axis is logarithmic.
PANELS = (
    (
        "gradient, start", "gradient at unit l, at the start",
        r"$\dfrac{\partial E}{\partial x_l}=\dfrac{\partial E}{\partial x_L}"
        r"\left(1+\dfrac{\partial}{\partial x_l}\sum F\right)$  He et al. 2016, eq. 5",
        "unit l", "norm, relative to the end", True,
    ),
    (
        "gradient, trained", "the same, after training",
        r"factors on the shortcuts put $\prod\lambda_i$ for 1: He et al. 2016, eq. 8",
        "unit l", "norm, relative to the end", True,
    ),
    (
        "sum", "the end of a stage, and the sum of its parts",
        r"$x_L = x_l+\sum F(x_i)$  He et al. 2016, eq. 4",
        "unit l of the last stage", "difference, relative", True,
    ),
    (
        "truncated", "what the ReLU after the addition sets to 0",
        "original unit: He et al. 2016, Section 4.2",
        "unit l", "share of x + F(x)", False,
    ),
    (
        "sub-networks", "sub-networks of fewer units",
        "an implicit ensemble: Huang et al. 2016, Section 3",
        "units left out (mean of 20 draws)", "test error (%)", False,
    ),
    (
        "probe", "a linear classifier after each layer",
        "implicit deep supervision: Huang et al. 2017, Section 5",
        "share of the units or layers", "test error (%)", False,
    ),
)  # fmt: skip


def folder() -> Path:
    """Where `training.theory` writes."""
    return Path(results()) / "theory"


def draw(table: pd.DataFrame) -> list[Path]:
    """Draw all panels; return the files."""
    with plt.rc_context(drawing.STYLE):
        figure, axes = plt.subplots(2, 3, figsize=(12, 7), layout="constrained")
        for ax, (name, title, equation, x, y, log) in zip(axes.flat, PANELS, strict=True):
            ax.set_title(f"{title}\n{equation}", fontsize=9)
            ax.set(xlabel=x, ylabel=y)
            if log:
                ax.set_yscale("log")
            draw_panel(ax, table[table["panel"] == name])
            if name == "gradient, trained":  # room for the legend above the curves
                low, high = ax.get_ylim()
                ax.set_ylim(low, high * (high / low) ** 0.4)
            ax.legend(frameon=False, fontsize=8)
            if name != "probe":
                ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.supxlabel(f"{NOTE}\n{DASHED}", fontsize=9, color="0.35")
    return drawing.save(figure, folder() / "theory")


def draw_panel(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw one line per network, and a dashed one at the error of the whole network; a triangle on
    the lower edge is a value of 0, which a logarithmic axis has not."""
    for name, one in rows.groupby("network", sort=False):
        whole, points = one[one["position"] < 0], one[one["position"] >= 0]
        colour = COLOURS[str(name)]
        if ax.get_yscale() == "log":
            edge, none = ax.get_xaxis_transform(), points[points["value"] == 0]["position"]
            ax.plot(none, [0.02] * len(none), "v", color=colour, ms=5, transform=edge)
            for position in none:
                ax.annotate("0", (position, 0.05), xycoords=edge, ha="center", fontsize=8)
            points = points[points["value"] > 0]
        ax.plot(points["position"], points["value"], ".-", color=colour, label=name, lw=1.3, ms=4)
        for value in whole["value"]:
            ax.axhline(value, color=colour, lw=0.9, ls="--")


def _ends(rows: pd.DataFrame) -> str:
    first, last = rows["value"].iloc[0], rows["value"].iloc[-1]
    return f"{first:.3g} at the first, {last:.3g} at the last"


def _gradient(rows: pd.DataFrame) -> str:
    return f"at the first unit, {rows['value'].iloc[0]:.3g} times that at the end"


def _largest(rows: pd.DataFrame) -> str:
    return f"at most {rows['value'].max():.2g}"


def _sub_networks(rows: pd.DataFrame) -> str:
    at = dict(zip(rows["position"], rows["value"], strict=True))
    whole = f"{at[0]:.1f} % whole"
    if abs(at[0] - at[-1]) > 0.05:
        whole = f"{at[-1]:.1f} % whole, {at[0]:.1f} % unscaled"
    return f"{whole}; {at[1]:.1f} % without one unit, {at[4]:.1f} % without four"


SAID: dict[str, Callable[[pd.DataFrame], str]] = {
    "gradient, start": _gradient, "gradient, trained": _gradient, "sum": _largest,
    "truncated": _ends, "sub-networks": _sub_networks, "probe": _ends,
}  # fmt: skip


def describe(table: pd.DataFrame) -> str:
    """The panels in numbers, as a Markdown table."""
    lines = ["# What the papers' equations say, measured", "", NOTE, "",
             "| Panel | Equation, source | Network | Measured |", "|:--|:--|:--|:--|"]  # fmt: skip
    for name, title, equation, *_ in PANELS:
        for network, rows in table[table["panel"] == name].groupby("network", sort=False):
            lines.append(f"| {title} | {equation} | {network} | {SAID[name](rows)} |")
    lines += [
        "", f"{DASHED} What the ReLU sets to 0 grows with training here; He et al. 2016, Section "
        "4.2, observe the opposite for ResNet-164 on CIFAR-10.", "",
    ]  # fmt: skip
    return "\n".join(lines)


@guarded
def main() -> None:
    """Draw and describe results/theory/theory.csv."""
    table = pd.read_csv(folder() / "theory.csv")
    for path in draw(table):
        print(path)
    path = folder() / "theory.md"
    write_atomically(path, describe(table))
    print(path)


if __name__ == "__main__":
    argument_parser(__doc__).parse_args()
    sys.exit(main())
