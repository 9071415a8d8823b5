"""Read the published facts, results/paper/*.csv; a mistake is reported by file, line and column."""

import csv
from collections.abc import Hashable
from dataclasses import MISSING, fields
from io import StringIO
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from experiments.papers.schema import PublishedError
from experiments.papers.sums import committed

Entry = TypeVar("Entry")


def read(path: Path, kind: type[Entry]) -> list[Entry]:
    """Read the lines of a file, in order; no two may be equal in the columns of `kind.once` or, if
    it has none, in all.

    Raises:
        CommandError: the file is not as committed.
        PublishedError: a line has a mistake; the message names it.
    """
    columns = {field.name: field.default is MISSING for field in fields(kind)}  # type: ignore[arg-type]
    once = getattr(kind, "once", columns)
    adapter, lines, seen = TypeAdapter(kind), [], dict[Hashable, int]()
    needed = [name for name, is_needed in columns.items() if is_needed]
    try:
        text = committed(path).read_text(encoding="utf-8")
        reader = csv.reader(StringIO(text), strict=True)
        head = next(reader, [])
        for name in (*head, *needed):
            if name not in columns or head.count(name) != 1:
                raise PublishedError(
                    f"{path}: column {name!r} is missing, duplicate or unknown; "
                    f"columns: {', '.join(columns)}."
                )
        for cells in reader:
            place = f"{path}, line {reader.line_num}"
            if len(cells) != len(head):
                raise PublishedError(f"{place}: {len(cells)} cells under {len(head)} columns.")
            filled = {name: cell for name, cell in zip(head, cells, strict=True) if cell}
            line = _line(adapter, filled, place)
            key = tuple(getattr(line, name) for name in once)
            if first := seen.get(key):
                raise PublishedError(f"{place}: duplicates line {first}; delete one.")
            seen[key] = reader.line_num
            lines.append(line)
    except (UnicodeError, csv.Error) as error:
        raise PublishedError(f"{path}: not a CSV file in UTF-8 ({error}).") from None
    return lines


def _line(adapter: TypeAdapter[Entry], filled: dict[str, str], place: str) -> Entry:
    try:
        return adapter.validate_python(filled)
    except ValidationError as error:
        first = error.errors()[0]
        column = ".".join(map(str, first["loc"][:1]))
        cell = f"{column}={ascii(filled.get(column, ''))[:80]}: " if column else ""
        reason = "is empty" if first["type"] == "missing" else first["msg"]
        reason = reason.removeprefix("Value error, ")
        raise PublishedError(f"{place}: {cell}{reason}.") from None
