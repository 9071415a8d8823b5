"""Check that the published facts, and what every row trains, are as committed.

A flipped digit in one of these files would change a table, so the SHA-256 of each is kept in
results/paper/sha256.txt (as `sha256sum` writes it) and checked before the file is read. After an
intended change:

    python -m experiments.papers.sums
"""

import hashlib
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from records.command import CommandError, argument_parser, guarded
from records.files import ROOT, write_atomically
from records.names import KEPT

RESULTS = ROOT / "results"
SUMS = RESULTS / "paper" / "sha256.txt"


def files() -> list[Path]:
    """The files whose sums are kept."""
    rows = [RESULTS / folder / "rows.csv" for folder in KEPT.values()]
    paper = [path for path in (RESULTS / "paper").iterdir() if path.suffix in (".csv", ".yaml")]
    return sorted([*rows, *paper, RESULTS / "architecture.csv"])


def committed(path: Path) -> Path:
    """Return the path of a file whose content is as committed; a file outside results/ passes.

    Raises:
        CommandError: its content differs, or it is missing.
    """
    if not path.is_relative_to(RESULTS):
        return path
    name = path.relative_to(RESULTS).as_posix()
    try:
        digest = _digest(path)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}; git checkout restores it.") from None
    if _sums().get(name) != digest:
        raise CommandError(
            f"{path} is not as committed (its SHA-256 is not the one in {SUMS.name}).\n"
            "git checkout restores it; after an intended change: "
            "python -m experiments.papers.sums"
        )
    return path


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _sums() -> dict[str, str]:
    try:
        lines = SUMS.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        return {}
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


@guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the sums of the named files, or of all, and print which have changed."""
    parser = argument_parser(__doc__)
    parser.add_argument("names", nargs="*", help="files below results/; default: all")
    named = parser.parse_args(arguments).names
    known = dict(_sums())
    if strange := set(named) - {path.relative_to(RESULTS).as_posix() for path in files()}:
        raise CommandError(f"{min(strange)} is no file of published facts below {RESULTS}.")
    for path in files():
        name = path.relative_to(RESULTS).as_posix()
        if named and name not in named:
            continue
        digest = _digest(path)
        if digest != known.get(name):
            print(f"{name}: changed")
        known[name] = digest
    there = {path.relative_to(RESULTS).as_posix() for path in files()}
    lines = [f"{digest}  {name}" for name, digest in sorted(known.items()) if name in there]
    write_atomically(SUMS, "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
