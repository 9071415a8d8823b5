"""Any compiled table: text cells under a title, as Markdown, CSV and LaTeX."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from records.names import compiled_folder

LATEX = str.maketrans(
    {"%": r"\%", "&": r"\&", "#": r"\#", "±": r"$\pm$", "~": r"$\sim$", ">": r"$>$", "_": r"\_"}
)  # fmt: skip


@dataclass(frozen=True)
class Sheet:
    """A compiled table: its cells as text, the title above and the notes below."""

    name: str
    title: str
    frame: pd.DataFrame = field(compare=False)
    notes: Sequence[str]


def write(table: Sheet, preset: str) -> list[Path]:
    """Write a table as .md, .csv and .tex; the same table gives the same bytes."""
    stem, frame = compiled_folder(preset) / "tables" / table.name, table.frame
    stem.parent.mkdir(parents=True, exist_ok=True)
    below = "".join(f"\n{note}\n" for note in table.notes)
    texts = {
        ".md": f"# {table.title}\n\n{to_markdown(frame)}\n{below}",
        # In characters that a spreadsheet reads whatever encoding it assumes.
        ".csv": frame.to_csv(index=False, lineterminator="\n").replace("±", "+/-"),
        ".tex": _latex(frame, table.title),
    }
    for suffix, text in texts.items():
        stem.with_suffix(suffix).write_text(text, encoding="utf-8")
    return [stem.with_suffix(suffix) for suffix in texts]


def to_markdown(frame: pd.DataFrame) -> str:
    """A frame of text cells as a Markdown table."""
    return str(frame.to_markdown(index=False, disable_numparse=True))


def _latex(frame: pd.DataFrame, title: str) -> str:
    escaped = frame.rename(columns=_escape).map(lambda cell: _escape(str(cell)))
    columns = "l" + "r" * (frame.shape[1] - 2) + "l"
    style = escaped.style.hide(axis="index")
    text = style.to_latex(hrules=True, column_format=columns, caption=_escape(title))
    return f"% needs \\usepackage{{booktabs}}\n{text}"


def _escape(text: str) -> str:
    return text.translate(LATEX)
