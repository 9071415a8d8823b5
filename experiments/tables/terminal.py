"""Print tables: fitted to the width of a terminal, and in full elsewhere."""

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table

from experiments.tables.sheets import to_markdown

# Columns that a narrow terminal drops, in this order; all others stay.
DROPPED_FIRST = (
    "Recipe",
    "Not the same", "Equal curves", "Same seed", "Last / best / at best val", "90 % interval",
    "Runs to decide",
    "Source", "Against others", "Others (%)", "Preset", "Params", "Parameters", "Iterations",
    "Best test error (%)", "Difference",
    "H100", "n", "Layers", "Paper, top 5 (%)", "Ours, top 5 (%)",
)  # fmt: skip
# Left-aligned columns.
WORDS = ("Method", "Row", "Claim", "Run", "Data", "State", "Status", "Verdict")
NAMES = ("Row", "Run")  # columns of names whose end says more than their beginning
UNMEASURED = ("quoted", "not run")
SENTENCE = 40  # characters above which text may wrap
LEAST = 16  # characters that a name keeps, at least
GAP = 2  # characters between two columns


def print_table(frame: pd.DataFrame, whole: str = "", console: Console | None = None) -> None:
    """Print a frame of text cells; outside a terminal, as Markdown with every column.

    Args:
        whole: the file that has all columns, named if some find no room.
    """
    console = console or Console(highlight=False)
    if not console.is_terminal:
        print(to_markdown(frame))
        return
    names = fitting(frame, console.width)
    shown = _with_short_names(frame[names], console.width)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0), show_edge=False)
    for name in names:
        wraps = name not in NAMES and _widest(frame, name) > SENTENCE
        side: JustifyMethod = "left" if wraps or name in WORDS else "right"
        table.add_column(name, justify=side, no_wrap=not wraps, overflow="ellipsis")
    for _, row in shown.iterrows():
        cells = [str(cell) for cell in row]
        table.add_row(*cells, style="dim" if cells[-1] in UNMEASURED else "")
    console.print(table, markup=False)
    if left_out := [str(name) for name in frame if name not in names]:
        where = f"; {whole} has all" if whole else ""
        say(f"Columns left out: {', '.join(left_out)}{where}.", console)


def shortened(name: str, width: int) -> str:
    """Shorten a name to `width` characters: its end, from the start of a part if one is near."""
    if len(name) <= width:
        return name
    end = name[len(name) - width + 1 :]
    cut = end.find("/")
    return f"…{end[cut:] if 0 < cut < len(end) // 2 else end}"


def say(text: str, console: Console | None = None) -> None:
    """Print sentences, wrapped between words on a terminal and not at all elsewhere."""
    console = console or Console(highlight=False)
    console.print(text, markup=False, soft_wrap=not console.is_terminal)


def fitting(frame: pd.DataFrame, width: int) -> list[str]:
    """The columns that fit into `width` characters, in their order.

    Those of `DROPPED_FIRST` are left out one after another; the rest may still be too wide.
    """
    names = [str(name) for name in frame]
    for name in DROPPED_FIRST:
        if _width(frame[names]) <= width:
            break
        if name in names:
            names.remove(name)
    return names


def _with_short_names(frame: pd.DataFrame, width: int) -> pd.DataFrame:
    """Shorten names to the room that the other columns leave."""
    for name in NAMES:
        if name in frame:
            room = width - _width(frame.drop(columns=name)) - GAP
            frame = frame.assign(**{name: [shortened(n, max(LEAST, room)) for n in frame[name]]})
    return frame


def _width(frame: pd.DataFrame) -> int:
    return sum(_widest(frame, str(name)) + GAP for name in frame)


def _widest(frame: pd.DataFrame, name: str) -> int:
    return max(map(len, [name, *map(str, frame[name])]))
