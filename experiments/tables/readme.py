"""Put compiled tables into the README, between the markers that name them."""

import re
from pathlib import Path

from records.files import ROOT
from records.names import results

MARKED = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def update(path: Path = ROOT / "README.md", tables: Path = ROOT / "results" / "tables") -> bool:
    """Replace what stands between `<!-- table: NAME -->` and `<!-- end -->`; True if it changed.

    Where results go elsewhere, the README is left as it is.
    """
    if tables.resolve() != (results() / "tables").resolve():
        return False
    before = path.read_text(encoding="utf-8")

    def fill(match: re.Match[str]) -> str:
        compiled = (tables / f"{match[2]}.md").read_text(encoding="utf-8")
        body = compiled.partition("\n\n")[2]  # the README has its own headings
        return f"{match[1]}{body}{match[3]}"

    after = MARKED.sub(fill, before)
    if after != before:
        path.write_text(after, encoding="utf-8")
    return after != before
