"""The compiled tables as the report shows them: cells with links, and the command of each line."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from experiments.papers import datasets, published
from experiments.papers.conf import is_planned, table_rows
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
    """A cell: its text, the address of what it comes from, and how it is marked."""

    text: str
    link: str = ""
    kind: str = ""


def view(table: Sheet, measured: Collection[tuple[str, str]], preset: str) -> dict[str, Any]:
    """A table as the page of a preset shows it, for the template; `measured` are the rows that
    have runs, with their data."""
    names, rows = list(map(str, table.frame.columns)), cells(table, measured)
    if isinstance(table, Overview):  # whose names of tables are for the command line
        names, rows = names[1:], [row[1:] for row in rows]
    if VERDICT.name in names:  # it is looked for first
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
        # What is measured, and by which command.
        "commands": commands(table, preset) if isinstance(table, PaperTable) else [],
        "notes": [inline(note) for note in table.notes if note not in general(preset)],
        "files": table_files(table.name, preset),
        # Whether all that it waits for are runs, and none has ended.
        "absent": bool(lines) and not any(line.row in measured for line in lines),
    }


def overviews(total: Overview, preset: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tables of which something has been measured, and those that wait, which are folded."""
    whole = view(total, (), preset)
    has_run = total.frame["Measured"] != "0"
    ran = [row for row, has in zip(whole["rows"], has_run, strict=True) if has]
    idle = [row for row, has in zip(whole["rows"], has_run, strict=True) if not has]
    title = f"{len(idle)} other tables and figures"
    waiting = {"anchor": "waiting", "title": title, "notes": [], "files": [], "absent": True}
    return whole | {"rows": ran}, whole | waiting | {"rows": idle}


def cells(table: Sheet, measured: Collection[tuple[str, str]]) -> list[list[Cell]]:
    """The cells of a table; in an overview the tables lead to their place on the page."""
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
    """The cells of a line: numbers of ours lead to their runs, verdicts are marked."""
    source = f"#{group_anchor(*result.line.row)}" if result.line.row in measured else ""
    kind = slug(result.verdict or "").lower()
    return [
        Cell(column.cell(result), source, kind) if column is VERDICT
        else Cell(column.cell(result), source if column.ours and column.text(result) else "")
        for column in columns
    ]  # fmt: skip


def commands(table: PaperTable, preset: str) -> list[tuple[str, str]]:
    """What measures each row of a table, on all the data sets that the table has it on; the row in
    words, and the command. What is quoted only has none."""
    trained = table_rows(table.name) if is_planned(table.name) else []
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
    """The files of a compiled table, as seen from the page."""
    return [(kind, address(preset, f"tables/{name}.{kind}")) for kind in ("md", "csv", "tex")]


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
