"""Put compiled tables into the README and the docs, between markers that name them."""

import re
from pathlib import Path

import pandas as pd

from experiments.tables.claims import UNDECIDED
from experiments.tables.measured import measured_table
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
    """How much has been measured in all, of the full schedule and of others, from the compiled
    overviews and claims."""
    lines = []
    for preset, folder in KEPT.items():
        tables = pd.read_csv(compiled / folder / "tables" / "overview.csv")
        claims = pd.read_csv(compiled / folder / "tables" / "claims.csv")["Verdict"]
        trained, measured = tables["Rows to train"].sum(), tables["Measured"].sum()
        decided = f"{(claims != UNDECIDED).sum()} of {len(claims)} claims decided"
        if preset != FULL:
            lines.append(f"On a {preset} of the schedule: **{measured}** cells, **{decided}**.")
            continue
        found = sum(map(int, re.findall(r"(\d+) reproduced", " ".join(tables["Verdicts"]))))
        lines.append(
            f"In full: **{measured} of {trained} cells measured**, **{found} reproduced**, "
            f"**{decided}**."
        )
    return " ".join(lines)


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
