"""A table as its paper prints it: lines that differ in one respect stand side by side.

The column `across` of results/paper/tables.csv names that respect.
"""

from collections.abc import Callable, Sequence

import pandas as pd

from experiments.papers import datasets, published
from experiments.tables import cells
from experiments.tables.cells import MISSING
from experiments.tables.results import Result
from experiments.tables.sheets import Sheet
from experiments.tables.tables import PaperTable, scaled_note
from records.names import FULL

RESPECTS: dict[str, Callable[[Result], str | None]] = {
    "method": lambda result: result.line.label,
    "data": lambda result: datasets.of(result.line.dataset).short,
    "layers": lambda result: result.line.layers,
    "test": cells.test,
}
NOTE = (
    "The numbers of {table}, laid out as in the paper: its own beside ours, by the same statistic. "
    "`-`: not run yet, or not published."
)
TOP5 = "After the slash: top-5 errors."
LAYERS = "Layers: where several are listed, networks on different data sets differ in depth."
RATIO = "ratio, last to first"

PRINTED = "_printed"  # suffix of a table's name in its paper's layout

Group = list[Result]  # the lines that share one line here


def printed(table: PaperTable) -> Sheet | None:
    """The table in its paper's layout, or None if that has one line per number."""
    across = table.paper.across
    if not across:
        return None
    respect = RESPECTS[across]
    columns = list(dict.fromkeys(text for line in table.results if (text := respect(line))))
    if across == "data":
        columns = [one.short for one in datasets.known().values() if one.short in columns]
    groups = grouped(table.results, across)
    heads, ratios = _heads(groups, across, table.results), {}
    theirs = "paper" if table.preset == FULL else "paper in full"
    for name in columns:
        lines = [next((one for one in group if respect(one) == name), None) for group in groups]
        for whose, cell, hours in ((theirs, _paper, _hours), ("ours", _ours, _our_hours)):
            head = f"{name} layers, {whose}" if across == "layers" else f"{name}, {whose}"
            heads[head] = [(line and cell(line)) or MISSING for line in lines]
            ratios[head] = _ratio(hours(lines[0]), hours(lines[-1]))
    frame = pd.DataFrame(heads)
    if table.paper.metric == published.HOURS:
        frame.loc[len(frame)] = pd.Series({frame.columns[0]: RATIO} | ratios)
    title = f"{table.title}, as printed"
    return Sheet(f"{table.name}{PRINTED}", title, frame.fillna(""), _notes(table, heads))


def grouped(results: Sequence[Result], across: str) -> list[Group]:
    """Group the lines that are alike in all but one respect. Networks of one method that differ in
    depth share a line too, unless two of them would fall into the same column."""
    exact: dict[tuple[str | None, ...], Group] = {}
    for line in results:
        key = tuple(of(line) for name, of in RESPECTS.items() if name != across)
        exact.setdefault(key, []).append(line)
    groups = list[Group]()
    for group in exact.values():
        joined = next((one for one in groups if _agree(one, group, across)), None)
        if joined is None:
            groups.append(group)
        else:
            joined += group
    return groups


def _agree(one: Group, other: Group, across: str) -> bool:
    """Whether two groups differ at most in depth and have no column in common."""
    respect = RESPECTS[across]
    alike = (RESPECTS[name] for name in RESPECTS if name not in (across, "layers"))
    return all(of(one[0]) == of(other[0]) for of in alike) and not (
        {respect(line) for line in one} & {respect(line) for line in other}
    )


def _heads(groups: Sequence[Group], across: str, results: Sequence[Result]) -> dict[str, list[str]]:
    """The leading columns, which tell lines apart."""
    heads: dict[str, list[str]] = {}
    for name, of in RESPECTS.items():
        texts = [", ".join(dict.fromkeys(filter(None, map(of, group)))) for group in groups]
        if name != across and (len(set(texts)) > 1 or len(groups) == 1):
            heads[name.capitalize()] = [text or MISSING for text in texts]
    if any(line.line.text("params_millions") for line in results):
        heads["Params"] = [cells.parameters(group[0]) or MISSING for group in groups]
    return heads


def _paper(line: Result) -> str | None:
    return _with_top5(cells.paper(line.line), cells.paper_top5(line.line))


def _ours(line: Result) -> str | None:
    return _with_top5(cells.ours(line), cells.our_top5(line))


def _with_top5(text: str | None, top5: str | None) -> str | None:
    return text if top5 is None else f"{text or MISSING} / {top5}"


def _hours(line: Result | None) -> float | None:
    return line.line.reported[0].number if line and line.line.reported else None


def _our_hours(line: Result | None) -> float | None:
    return line.measured.value if line else None


def _ratio(first: float | None, last: float | None) -> str:
    """Ratio of the last line to the first: comparable across machines, unlike hours."""
    return f"{last / first:.2f}" if first and last else MISSING


def _notes(table: PaperTable, columns: dict[str, list[str]]) -> list[str]:
    notes = [NOTE.format(table=table.title.partition(":")[0])]
    notes += [scaled_note(table.preset)] if table.preset != FULL else []
    notes += [LAYERS] if any("," in cell for cell in columns.get("Layers", [])) else []
    return notes + ([TOP5] if any(cells.paper_top5(line.line) for line in table.results) else [])
