"""Put compiled tables into the README and the docs, between markers that name them."""

import re
from pathlib import Path

import pandas as pd

from experiments.papers import published
from experiments.papers.rows import all_rows
from experiments.tables.claims import FAILS, HOLDS
from experiments.tables.measured import measured, measured_table
from experiments.tables.sheets import to_markdown
from experiments.verdicts.records import records_of
from records.files import ROOT
from records.names import FULL, KEPT, results

PAGES = (ROOT / "README.md", ROOT / "docs" / "results.md")
MARKED = re.compile(r"(<!-- table: (\S+)\.md -->\n).*?(<!-- end -->)", re.DOTALL)
MEASURED = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
COUNTED = re.compile(r"(<!-- counted -->\n).*?(<!-- end -->)", re.DOTALL)


def update(pages: tuple[Path, ...] = PAGES, compiled: Path = ROOT / "results") -> bool:
    """Replace what stands between `<!-- table: FILE -->` and `<!-- end -->`, with `FILE` as seen
    from results/, behind `<!-- measured: PRESET -->` the rows that have run, and behind
    `<!-- counted -->` how many; True if a page changed.

    Where results go elsewhere, the pages are left as they are.
    """
    if compiled.resolve() != results().resolve():
        return False
    changed = [_update(page, compiled) for page in pages]
    return any(changed)


def counted(compiled: Path) -> str:
    """How many rows have been measured, of the full schedule and of others, and, from the compiled
    claims, how many of these are decided. A row that several tables quote counts once."""
    texts = []
    rows = {line.row for table in published.tables() for line in published.lines(table)}
    for preset, folder in KEPT.items():
        found = pd.read_csv(compiled / folder / "tables" / "claims.csv")["Verdict"].tolist()
        claims = f"{found.count(HOLDS)} of {len(found)} claims hold, {found.count(FAILS)} do not"
        lines = measured(records_of(preset), preset)
        if preset == FULL:
            near = sum(line["Verdict"] == "reproduced" for line in lines)
            whole = f"{len(lines)} of {len(rows & all_rows().keys())} rows"
            texts.append(f"In full: **{whole} measured, {near} reproduced**; **{claims}**.")
        else:
            texts.append(f"On a {preset} of the schedule: **{len(lines)} rows**; **{claims}**.")
    return " ".join(texts)


def _update(page: Path, compiled: Path) -> bool:
    before = page.read_text(encoding="utf-8")

    def fill(match: re.Match[str]) -> str:
        table = (compiled / f"{match[2]}.md").read_text(encoding="utf-8")
        body = table.partition("\n\n")[2]  # the page has its own headings
        return f"{match[1]}{body}{match[3]}"

    def list_measured(match: re.Match[str]) -> str:
        frame = measured_table({match[2]: records_of(match[2])})
        return f"{match[1]}{to_markdown(frame)}\n{match[3]}"

    def count(match: re.Match[str]) -> str:
        return f"{match[1]}{counted(compiled)}\n{match[2]}"

    after = COUNTED.sub(count, MEASURED.sub(list_measured, MARKED.sub(fill, before)))
    if after != before:
        page.write_text(after, encoding="utf-8")
    return after != before
