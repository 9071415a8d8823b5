"""Put compiled tables into the README and the docs, between markers that name them."""

import re
from pathlib import Path

from experiments.tables.measured import measured_table
from experiments.tables.sheets import to_markdown
from experiments.verdicts.records import records_of
from records.files import ROOT
from records.names import KEPT, results

PAGES = (ROOT / "README.md", ROOT / "docs" / "results.md")
MARKED = re.compile(r"(<!-- table: (\S+)\.md -->\n).*?(<!-- end -->)", re.DOTALL)
MEASURED = re.compile(r"(<!-- measured -->\n).*?(<!-- end -->)", re.DOTALL)


def update(pages: tuple[Path, ...] = PAGES, compiled: Path = ROOT / "results") -> bool:
    """Replace what stands between `<!-- table: FILE -->` and `<!-- end -->`, with `FILE` as seen
    from results/, and behind `<!-- measured -->` the rows that have run; True if a page changed.

    Where results go elsewhere, the pages are left as they are.
    """
    if compiled.resolve() != results().resolve():
        return False
    changed = [_update(page, compiled) for page in pages]
    return any(changed)


def _update(page: Path, compiled: Path) -> bool:
    before = page.read_text(encoding="utf-8")

    def fill(match: re.Match[str]) -> str:
        table = (compiled / f"{match[2]}.md").read_text(encoding="utf-8")
        body = table.partition("\n\n")[2]  # the page has its own headings
        return f"{match[1]}{body}{match[3]}"

    def list_measured(match: re.Match[str]) -> str:
        frame = measured_table({preset: records_of(preset) for preset in KEPT})
        return f"{match[1]}{to_markdown(frame)}\n{match[2]}"

    after = MEASURED.sub(list_measured, MARKED.sub(fill, before))
    if after != before:
        page.write_text(after, encoding="utf-8")
    return after != before
