"""Take over records from a bundle, each only if it contradicts neither itself nor one of ours.

A bundle comes from anywhere, so its names, sizes and content are checked before a byte of it is put
where records lie; nothing that is there already is changed.
"""

import hashlib
import json
import re
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from experiments.check import metrics_faults
from experiments.records import EXTRAS, PARTS, RecordError, RunRecord, check_place, load

VERSION = 1
MANIFEST = "manifest.json"
RUN = re.compile(r"\w+/\w+/\w[\w.+=-]*/\w+/seed\d+", re.ASCII)
LARGEST, MOST = 32_000_000, 2_000_000_000  # bytes of a file, and of all
# What reading a damaged zip file, or a manifest of anything, may raise.
DAMAGED = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError,
    KeyError, ValueError, TypeError, AttributeError, RuntimeError,
)  # fmt: skip


class BundleError(Exception):
    """A file is no bundle, or a damaged one; or there is nothing to bundle."""


def unbundle(bundle: Path, results: Path) -> int:
    """Import every record of a bundle that can be; the others are named.

    Returns:
        0 if all are there now, 1 if some were refused.

    Raises:
        BundleError: the file is no bundle or damaged; nothing was imported.
        OSError: it cannot be read, or a folder not be written.
    """
    results.mkdir(parents=True, exist_ok=True)
    refused = 0
    with tempfile.TemporaryDirectory(dir=results, prefix=".import") as name:
        runs = unpack(bundle, Path(name))
        for run in runs:
            outcome = install(run, Path(name), results, bundle.name)
            print(f"{run}: {outcome}")
            refused += outcome.startswith("refused")
    print(f"{len(runs)} records, {refused} refused.")
    return int(refused > 0)


def unpack(bundle: Path, folder: Path) -> list[str]:
    """Verify a bundle and unpack it into a folder; returns the runs in it.

    Raises:
        BundleError: it is no bundle, or damaged.
    """
    try:
        with zipfile.ZipFile(bundle) as file:
            sums, runs = read_manifest(file)
            for entry, expected in sums.items():
                path = folder / entry
                path.parent.mkdir(parents=True, exist_ok=True)
                data = file.read(entry)
                if hashlib.sha256(data).hexdigest() != expected:
                    raise BundleError(f"{bundle}: {entry} is damaged.")
                path.write_bytes(data)
    except DAMAGED as error:
        raise BundleError(f"{bundle} is no bundle, or damaged ({error}).") from None
    return runs


def read_manifest(file: zipfile.ZipFile) -> tuple[dict[str, str], list[str]]:
    """Checksums by name, and runs, of a bundle whose names and sizes are harmless.

    Raises:
        ValueError, KeyError: they are not, or there is no manifest of this version.
    """
    entries = {entry.filename: entry.file_size for entry in file.infolist()}
    if max(entries.values(), default=0) > LARGEST or sum(entries.values()) > MOST:
        raise ValueError("too large")
    manifest = json.loads(file.read(MANIFEST))
    if not isinstance(manifest, dict) or manifest.get("version") != VERSION:
        raise ValueError("of another version")
    sums = dict(manifest["sha256"])
    runs = list(dict.fromkeys(str(run) for run in manifest["runs"]))
    if strange := [run for run in runs if not RUN.fullmatch(run)]:
        raise ValueError(f"{strange[0]} is no run")
    if unknown := [name for name in entries if name != MANIFEST and name not in sums]:
        raise ValueError(f"{unknown[0]} is not in its manifest")
    for name in sums:
        if not belongs(name, runs):
            raise ValueError(f"{name} is no part of a record")
    return sums, runs


def belongs(name: str, runs: list[str]) -> bool:
    """Whether a name is that of a file of one of these runs, and leads nowhere else."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name:
        return False
    folder, inner = path.parts[0], path.relative_to(path.parts[0])
    if folder == "weights":
        return path.suffix == ".safetensors" and inner.with_suffix("").as_posix() in runs
    return folder == "runs" and path.name in (*PARTS, *EXTRAS) and inner.parent.as_posix() in runs


def install(run: str, folder: Path, results: Path, source: str) -> str:
    """Put a record where it belongs; says what has become of it."""
    record, weights = folder / "runs" / run, folder / "weights" / f"{run}.safetensors"
    target, shipped = results / "runs" / run, results / "weights" / f"{run}.safetensors"
    try:
        found = load(record)
        check_place(found, folder / "runs")
        faults = faults_of(found, weights)
    except RecordError as error:
        return f"refused: {str(error).splitlines()[0].replace(str(folder), source)}"
    if faults:
        return f"refused: {faults[0]}"
    if target.exists() and not same(record, target):
        return "refused: another record is here already"
    if shipped.exists() and weights.exists() and shipped.read_bytes() != weights.read_bytes():
        return "refused: other weights are here already"
    here = target.exists()
    if not here:
        note = record / "NOTE.md"
        known = note.read_text(encoding="utf-8", errors="replace") + "\n" if note.exists() else ""
        note.write_text(f"{known}Imported from {source}.\n", encoding="utf-8")
        move(record, target)
    added = [name for name in EXTRAS if not (target / name).exists() and (record / name).exists()]
    for name in added if here else []:  # tests and analyses that were made after it was taken
        move(record / name, target / name)
    if weights.exists() and not shipped.exists():
        move(weights, shipped)
    reasons = "; ".join(found.objections)
    said = "already here" if here else "imported"
    said += f", added {', '.join(added)}" if here and added else ""
    return f"{said}, but enters no table: {reasons}" if reasons and not here else said


def faults_of(record: RunRecord, weights: Path) -> list[str]:
    """What is wrong with a record whose summary can be read.

    Raises:
        RecordError: its metrics are missing or damaged.
    """
    missing = [name for name in PARTS if not (record.folder / name).exists()]
    if missing:
        return [f"{missing[0]} is missing"]
    faults = metrics_faults(record)
    if weights.exists():
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        faults += [] if digest == record.summary.get("weights") else ["its weights are others"]
    return faults


def same(record: Path, target: Path) -> bool:
    """Whether the measured files of two records are the same."""
    return all(
        (target / name).exists() and (record / name).read_bytes() == (target / name).read_bytes()
        for name in PARTS
    )


def move(source: Path, target: Path) -> None:
    """Move a file or a folder in one step; `target` does not exist yet, or is an empty folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)
