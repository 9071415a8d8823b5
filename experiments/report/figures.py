"""The figures as the report shows them: drawn, saved, and put into the page with their values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from experiments import compile
from experiments.figures import drawing
from experiments.report.hover import axes_of
from experiments.report.runs import address, slug
from experiments.verdicts.records import RunRecord
from records.names import compiled_folder

PANEL = 24  # rem, the width of one
# What an address of data may contain as it is; the rest of ASCII is escaped.
SAFE = " /:;,=()'!?@&+*-._~<>"


@dataclass(frozen=True)
class FigureView:
    """A figure on the page.

    Attributes:
        picture: an address that holds all of it.
        width: of the picture, in the page's units.
        axes: its curves; none where nothing has run.
    """

    anchor: str
    name: str
    title: str
    picture: str
    width: int
    axes: Sequence[dict[str, Any]]
    command: str
    files: Sequence[tuple[str, str]]


def view(figure: str, records: Sequence[RunRecord], preset: str) -> FigureView:
    """Draw a figure from records of a preset, save it, and make it part of the page."""
    drawn = compile.draw_figure(figure, preset, records)
    _, svg = drawing.save(drawn, compiled_folder(preset) / "figures" / figure)
    return FigureView(
        anchor=f"figure-{slug(figure)}",
        name=figure,
        title=compile.figure_heading(figure),
        picture=f"data:image/svg+xml,{quote(svg.read_text(encoding='utf-8'), safe=SAFE)}",
        width=round(PANEL * drawn.get_figwidth() / drawing.WIDTH),
        axes=axes_of(drawn),
        command=compile.figure_command(figure, preset),
        files=[(k, address(preset, f"figures/{figure}.{k}")) for k in ("png", "svg")],
    )
