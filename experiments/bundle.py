"""Records as one file, to be shared: `make bundle`; and those of others: `make bundle IMPORT=`.

A bundle is a zip file of records and weights as they lie under results/, with a manifest of their
checksums. The same records give the same bytes.
"""

import argparse
import hashlib
import json
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.check import contradictions
from experiments.folders import output_folder, result_folder, runs_folder
from experiments.records import EXTRAS, PARTS, RecordError, RunRecord, load_all
from experiments.unbundle import LARGEST, MANIFEST, MOST, VERSION, BundleError, unbundle

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file knows


def bundle(records: Sequence[RunRecord], target: Path) -> int:
    """Write records, and their shipped weights, into a bundle; returns its size in bytes.

    Raises:
        BundleError: they are too large to be imported.
    """
    content = {name: path.read_bytes() for name, path in sorted(parts(records))}
    check_size({name: len(data) for name, data in content.items()})
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    runs = sorted(record.run for record in records)
    manifest = {"version": VERSION, "runs": runs, "sha256": sums}
    content[MANIFEST] = (json.dumps(manifest, indent=1) + "\n").encode()
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w") as file:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            file.writestr(entry, data)
    return target.stat().st_size


def check_size(sizes: Mapping[str, int]) -> None:
    """Refuse what no import would take.

    Raises:
        BundleError: a file, or all together, are too large.
    """
    if large := [name for name, size in sizes.items() if size > LARGEST]:
        raise BundleError(f"{large[0]} is larger than {LARGEST / 1e6:.0f} MB.")
    if sum(sizes.values()) > MOST:
        raise BundleError("All together is too large: bundle fewer rows, with ROWS=.")


def parts(records: Sequence[RunRecord]) -> list[tuple[str, Path]]:
    """Every file of records: its name in a bundle, and where it lies."""
    found = []
    for record in records:
        found += [(f"runs/{record.run}/{name}", record.folder / name) for name in (*PARTS, *EXTRAS)]
        weights = f"weights/{record.run}.safetensors"
        found.append((weights, result_folder() / weights))
    return [(name, path) for name, path in found if path.exists()]


def chosen(rows: str) -> list[RunRecord]:
    """The intact records of rows, of tables or of papers, by name, comma-separated; empty for all.

    Raises:
        BundleError: there is none, or one contradicts itself.
    """
    names = [name.strip() for name in rows.split(",") if name.strip()]
    records = [r for r in load_all(runs_folder("paper")) if not names or named(r, names)]
    if not records:
        raise BundleError(f"{runs_folder('paper')} holds no record of {rows or 'any row'}.")
    for record in records:
        if faults := contradictions(record):
            raise BundleError(f"{record.run} contradicts itself: {faults[0]}.")
    return records


def named(record: RunRecord, names: Sequence[str]) -> bool:
    """Whether a record is that of one of these rows, tables or papers."""
    row = record.run.split("/")[2]
    return any(name == row or f"{record.run}/".startswith(f"{name}/") for name in names)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0; 1 where records of a bundle were refused; 2 where nothing could be done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", default="", help="only these rows, tables or papers, comma-separated"
    )
    parser.add_argument("--out", type=Path, help="the bundle to write")
    parser.add_argument("--take", type=Path, help="a bundle to import instead")
    parser.add_argument("--into", type=Path, help="where to import it, results/ by default")
    options = parser.parse_args(arguments)
    if options.into and not options.take:
        parser.error("INTO= says where to import a bundle: give it with IMPORT=")
    try:
        if options.take:
            return unbundle(options.take, options.into or result_folder())
        records = chosen(options.rows)
        target = options.out or output_folder() / "residual-to-dense.zip"
        size = bundle(records, target)
    except (BundleError, RecordError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    print(f"{target}: {len(records)} records, {size / 1000:,.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
