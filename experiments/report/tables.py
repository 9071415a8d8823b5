"""The compiled tables as the report shows them: cells with links, and the command of each line."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markupsafe import Markup

from experiments import published
from experiments.cells import MISSING, layers
from experiments.compile import Compiled
from experiments.jobs import PlanError
from experiments.plan import table_rows
from experiments.published import Line
from experiments.report.runs import group_anchor, slug
from experiments.tables import GENERAL

# Columns whose numbers come from our runs.
OURS = ("Ours", "95 % interval", "n", "Difference")
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


@dataclass(frozen=True)
class Cell:
    """A cell: its text, the address of what it comes from, and how it is marked."""

    text: str
    link: str = ""
    kind: str = ""


@dataclass(frozen=True)
class TableView:
    """A table on the page; `commands`: what is measured, and by which command."""

    anchor: str
    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    commands: Sequence[tuple[str, str]]
    notes: Sequence[Markup]
    files: Sequence[tuple[str, str]]


def view(compiled: Compiled, measured: Collection[tuple[str, str]]) -> TableView:
    """A table as the page shows it; `measured` are the rows that have runs, with their data."""
    columns = list(map(str, compiled.frame.columns))
    texts = compiled.frame.to_numpy().tolist()
    lines = published.lines(compiled.name) if compiled.name in published.titles() else []
    return TableView(
        anchor=slug(compiled.name),
        name=compiled.name,
        title=compiled.title,
        columns=columns,
        rows=[
            [
                cell(column, str(text), _source(lines, number, measured))
                for column, text in zip(columns, row, strict=True)
            ]
            for number, row in enumerate(texts)
        ],
        commands=commands(lines),
        notes=[inline(note) for note in compiled.notes if note not in GENERAL],
        files=table_files(compiled.name),
    )


def cell(column: str, text: str, source: str) -> Cell:
    """A cell; numbers of ours lead to their runs, verdicts are marked."""
    if column == "Verdict":
        return Cell(text, source, slug(text).lower())
    if column == "Table":
        return Cell(text, f"#{slug(text)}")
    ours = column.startswith(OURS) and text != MISSING
    return Cell(text, source if ours else "")


def commands(lines: Sequence[Line]) -> list[tuple[str, str]]:
    """What measures each row of a table, on all the data sets that the table has it on."""
    rows: dict[str, list[Line]] = {}
    for line in lines:
        if command(line):
            rows.setdefault(line.experiment, []).append(line)
    return [(label(own), command(own[0])) for own in rows.values()]


def label(lines: Sequence[Line]) -> str:
    """The lines of a row in words."""
    depth = layers(lines[0])
    known = [published.label(lines[0]), f"{depth} layers" if depth != MISSING else ""]
    return ", ".join(part for part in [*known, *(line.dataset for line in lines)] if part)


def command(line: Line) -> str:
    """What measures a line, or nothing where it is quoted only."""
    try:
        rows = table_rows(line.table)
    except PlanError:
        return ""
    if (line.experiment, line.dataset) not in rows:
        return ""
    row = line.experiment.rpartition("/")[2]
    return f"make reproduce-table TABLE={line.table} ROWS={row} PRESET=paper YES=1"


def table_files(name: str) -> list[tuple[str, str]]:
    """The files of a compiled table, as seen from results/report."""
    return [(suffix, f"../tables/{name}.{suffix}") for suffix in ("md", "csv", "tex")]


def inline(text: str) -> Markup:
    """A line of Markdown."""
    return Markup(MARKDOWN.renderInline(text))  # noqa: S704 -- it escapes what it does not know


def block(text: str) -> Markup:
    """A Markdown text, its headings two levels down, its tables where they can be scrolled."""
    html = MARKDOWN.render(text)
    for level in (4, 3, 2, 1):
        html = html.replace(f"<h{level}>", f"<h{level + 3}>")
        html = html.replace(f"</h{level}>", f"</h{level + 3}>")
    html = html.replace("<table>", '<div class="scroll"><table>')
    return Markup(html.replace("</table>", "</table></div>"))  # noqa: S704


def _source(lines: Sequence[Line], number: int, measured: Collection[tuple[str, str]]) -> str:
    if not lines:
        return ""
    row = (lines[number].experiment, lines[number].dataset)
    return f"#{group_anchor(*row)}" if row in measured else ""
