"""Tables, verdicts, claims, figures, recipes and runs on one page: `make report`.

The page of the full schedule is results/report/index.html, that of a tenth tenth.html: each is a
single file that needs no server, no network and no script but its own. They are made from records
only, and the same records give the same bytes. Tables, figures, the README and the cards of shipped
weights are rebuilt with them.
"""

import sys

from experiments.report.page import PAGES, gather, render
from records.command import argument_parser, guarded
from records.names import results


@guarded
def main() -> int:
    """Exit code: 0, or 2 if a file of published numbers or claims has a mistake."""
    contents = {file: gather(preset) for preset, file in PAGES.items()}
    for file, content in contents.items():
        path = results() / "report" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(content), encoding="utf-8")
        for fault in content["faults"]:
            print(f"Left out: {fault}", file=sys.stderr)
        print(f"{path}: {content['runs']} runs, {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    argument_parser(__doc__).parse_args()
    sys.exit(main())
