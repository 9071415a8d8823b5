"""Compiled tables for the report: cells with links, and the command that measures each row."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from experiments.papers import datasets, published
from experiments.papers.conf import planned, table_rows
from experiments.papers.published import Line
from experiments.report.runs import address, group_anchor, slug
from experiments.tables.cells import VERDICT, Column
from experiments.tables.layout import PRINTED
from experiments.tables.overview import Overview
from experiments.tables.results import Result
from experiments.tables.sheets import Sheet
from experiments.tables.tables import PaperTable, general

MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


@dataclass(frozen=True)
class Cell:
    """A cell: its text, a link to where it comes from, and the CSS class of a verdict."""

    text: str
    link: str = ""
    kind: str = ""


def view(table: Sheet, measured: Collection[tuple[str, str]], preset: str) -> dict[str, Any]:
    """A table for the template, as the page of a preset shows it; `measured` are the rows that have
    runs, as experiment and data set."""
    names, rows = list(map(str, table.frame.columns)), cells(table, measured)
    if isinstance(table, Overview):  # its first column is for the command line
        names, rows = names[1:], [row[1:] for row in rows]
    if VERDICT.name in names:  # readers look for it first
        place = names.index(VERDICT.name)
        order = [0, 1, place, *(k for k in range(2, len(names)) if k != place)]
        names, rows = [names[k] for k in order], [[row[k] for k in order] for row in rows]
    lines = published.lines(table.name.removesuffix(PRINTED))
    return {
        "anchor": slug(table.name),
        "name": table.name,
        "paper": published.paper_of(table.name),
        "title": table.title,
        "columns": names,
        "rows": rows,
        "commands": commands(table, preset) if isinstance(table, PaperTable) else [],
        "notes": [inline(note) for note in table.notes if note not in general(preset)],
        "files": table_files(table.name, preset),
        # Whether it has rows, of which none has run.
        "absent": bool(lines) and not any(line.row in measured for line in lines),
    }


def overviews(total: Overview, preset: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The overview of tables with measured rows, and that of tables still waiting, shown folded."""
    whole = view(total, (), preset)
    has_run = total.frame["Measured"] != "0"
    ran = [row for row, has in zip(whole["rows"], has_run, strict=True) if has]
    idle = [row for row, has in zip(whole["rows"], has_run, strict=True) if not has]
    title = f"{len(idle)} other tables and figures"
    waiting = {"anchor": "waiting", "title": title, "notes": [], "files": [], "absent": True}
    return whole | {"rows": ran}, whole | waiting | {"rows": idle}


def cells(table: Sheet, measured: Collection[tuple[str, str]]) -> list[list[Cell]]:
    """The cells of a table; in an overview, each table links to its place on the page."""
    if isinstance(table, PaperTable):
        return [result_cells(result, table.columns, measured) for result in table.results]
    rows = [[Cell(str(text)) for text in row] for row in table.frame.to_numpy()]
    if isinstance(table, Overview):
        for row in rows:
            row[1] = Cell(row[1].text, f"#{slug(row[0].text)}")
    return rows


def result_cells(
    result: Result, columns: Sequence[Column], measured: Collection[tuple[str, str]]
) -> list[Cell]:
    """The cells of a line: our numbers link to their runs, verdicts are marked."""
    source = f"#{group_anchor(*result.line.row)}" if result.line.row in measured else ""
    kind = slug(result.verdict or "").lower()
    return [
        Cell(column.cell(result), source, kind) if column is VERDICT
        else Cell(column.cell(result), source if column.ours and column.text(result) else "")
        for column in columns
    ]  # fmt: skip


def commands(table: PaperTable, preset: str) -> list[tuple[str, str]]:
    """The label of each row of a table, and the command that measures it on all of the table's data
    sets. Rows that are only quoted have none."""
    trained = table_rows(table.name) if table.name in planned() else []
    rows: dict[str, list[Line]] = {}
    for result in table.results:
        if result.line.row in trained:
            rows.setdefault(result.line.experiment, []).append(result.line)
    labelled = []
    for experiment, lines in rows.items():
        layers = [f"{lines[0].layers} layers"] if lines[0].layers else []
        sets = dict.fromkeys(datasets.of(line.dataset).short for line in lines)
        row = experiment.rpartition("/")[2]
        command = f"make reproduce-table TABLE={table.name} ROWS={row} PRESET={preset} YES=1"
        labelled.append((", ".join([lines[0].label, *layers, *sets]), command))
    return labelled


def table_files(name: str, preset: str) -> list[tuple[str, str]]:
    """The files of a compiled table: types, and addresses relative to the page."""
    return [(kind, address(preset, f"tables/{name}.{kind}")) for kind in ("md", "csv", "tex")]


def inline(text: str) -> Markup:
    """Render a line of Markdown."""
    return Markup(MARKDOWN.renderInline(text))  # noqa: S704 -- it escapes what it does not know


def block(text: str) -> Markup:
    """Render Markdown, with headings three levels down and tables that scroll."""
    html = MARKDOWN.render(text)
    for level in (4, 3, 2, 1):
        html = html.replace(f"<h{level}>", f"<h{level + 3}>")
        html = html.replace(f"</h{level}>", f"</h{level + 3}>")
    html = html.replace("<table>", '<div class="scroll"><table>')
    return Markup(html.replace("</table>", "</table></div>"))  # noqa: S704
