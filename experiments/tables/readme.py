"""Put compiled tables into the README, between the markers that name them by their place."""

import re
from pathlib import Path

from records.files import ROOT
from records.names import results

MARKED = re.compile(r"(<!-- table: (\S+)\.md -->\n).*?(<!-- end -->)", re.DOTALL)


def update(path: Path = ROOT / "README.md", compiled: Path = ROOT / "results") -> bool:
    """Replace what stands between `<!-- table: FILE -->` and `<!-- end -->`, with `FILE` as seen
    from results/; True if it changed.

    Where results go elsewhere, the README is left as it is.
    """
    if compiled.resolve() != results().resolve():
        return False
    before = path.read_text(encoding="utf-8")

    def fill(match: re.Match[str]) -> str:
        table = (compiled / f"{match[2]}.md").read_text(encoding="utf-8")
        body = table.partition("\n\n")[2]  # the README has its own headings
        return f"{match[1]}{body}{match[3]}"

    after = MARKED.sub(fill, before)
    if after != before:
        path.write_text(after, encoding="utf-8")
    return after != before
