"""Every row that a table quotes from another paper: what trains it here, or why nothing does."""

from dataclasses import dataclass
from functools import cache

import pandas as pd

from experiments.papers import datasets, published
from experiments.papers.published import PAPER, Line, PublishedError, paper_of
from experiments.papers.rows import facts
from experiments.papers.sums import committed
from experiments.tables.cells import MISSING
from experiments.tables.sheets import Sheet

QUOTED, TRAINABLE = "quoted", "trainable"
TITLE = "Rows that the papers' tables quote, and whether they can be trained"


@dataclass(frozen=True)
class Quoted:
    """A row as tables quote it.

    Attributes:
        label: its name in its own paper's table, if we have that, else in the table that quotes it.
        row, recipe: the row and recipe that train it, or empty.
        lines: one for each table, data set and test.
        here: `trainable`, or why not, in the words of quoted.csv.
        remark: why it is not trained or, if it is, the tables' notes on it.
    """

    label: str
    row: str
    recipe: str
    lines: tuple[Line, ...]
    here: str
    remark: str


def quoted() -> list[Quoted]:
    """Every row that a table has from another paper, or that nothing trains, in the order of the
    tables; a trained row appears once, however often it is quoted.

    Raises:
        PublishedError: quoted.csv does not say why a row is not trained.
    """
    groups: dict[tuple[str, str], list[Line]] = {}
    for table in published.tables():
        for line in published.lines(table):
            if facts(*line.row) is None:
                groups.setdefault((line.experiment, table), []).append(line)
            elif paper_of(line.experiment) != paper_of(table):
                groups.setdefault((line.experiment, ""), []).append(line)
    return [_quoted(tuple(group)) for group in groups.values()]


def quoted_table() -> Sheet:
    """All quoted rows as a table, with a count of their lines below."""
    rows = quoted()
    frame = pd.DataFrame(
        {
            "Method": entry.label,
            "Quoted by": "; ".join(_places(entry)),
            "On": ", ".join(dict.fromkeys(datasets.of(line.dataset).short for line in entry.lines)),
            "Here": entry.here,
            "Trained as": entry.row or MISSING,
            "Recipe": entry.recipe or MISSING,
            "Remark": entry.remark or MISSING,
        }
        for entry in rows
    )
    cells = {kind: sum(len(entry.lines) for entry in rows if entry.here == kind)
             for kind in dict.fromkeys(frame["Here"])}  # fmt: skip
    kinds = ", ".join(f"{count} {kind}" for kind, count in cells.items())
    note = (
        f"{sum(cells.values())} lines, one for each data set and test: {kinds}. *Trainable* rows "
        "follow their paper except where their recipe sheet says otherwise (results/recipes). Rows "
        "that *cannot be rebuilt* depend on something that was never published: a network of ours "
        "in their place would be a different row."
    )
    return Sheet(QUOTED, TITLE, frame, [note])


def _quoted(group: tuple[Line, ...]) -> Quoted:
    first = group[0]
    trained = facts(*first.row)
    if trained is None:
        here, remark = _reason(first.experiment)
        return Quoted(first.label, "", "", group, here, remark)
    known = published.lines(first.experiment.rpartition("/")[0])
    label = next((x for x in known if x.experiment == first.experiment), first).label
    notes = "; ".join(dict.fromkeys(note for line in group for note in line.notes))
    return Quoted(label, first.experiment, trained.recipe, group, TRAINABLE, notes)


def _reason(row: str) -> tuple[str, str]:
    reasons = _reasons()
    key = row if row in reasons.index else row.rpartition("/")[0]
    if key not in reasons.index:
        raise PublishedError(f"{row} is not trained, and {PAPER / 'quoted.csv'} does not say why.")
    return str(reasons.loc[key, "here"]), str(reasons.loc[key, "reason"])


@cache
def _reasons() -> pd.DataFrame:
    return pd.read_csv(committed(PAPER / "quoted.csv")).set_index("row")


def _places(entry: Quoted) -> list[str]:
    """The tables that quote a row, paper by paper, as `He et al. 2015, Table 3, Table 4`."""
    papers: dict[str, dict[str, None]] = {}
    for line in entry.lines:
        cited, _, table = published.tables()[line.table].title.partition(":")[0].partition(", ")
        papers.setdefault(cited, {})[table] = None
    return [", ".join([cited, *tables]) for cited, tables in papers.items()]
