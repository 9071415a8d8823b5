"""The machine without its GPU: Python and packages, cores, disk, code, data sets, W&B."""

import importlib.metadata
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from data.arrays.imageset import ImageSet
from data.order import DataError
from data.sets import load
from records import processor
from records.code import commit
from records.files import FolderError, make_folder
from records.names import datasets, outputs, results
from training.doctor.finding import Finding, judged

LEAST_DISK = 2e9  # bytes; the checkpoints of one large network
SETS = ("cifar10", "cifar100", "svhn")
PACKAGES = ("torch", "torchvision", "hydra-core", "numpy", "pandas", "matplotlib")


def python() -> Iterator[Finding]:
    """Python and the packages that a run needs."""
    version, where = platform.python_version(), f"{platform.system()} {platform.machine()}"
    yield Finding("ok", "Python", f"{version}, {where}")  # the Makefile refuses older ones
    known, missing = [], []
    for name in PACKAGES:
        try:
            known.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    yield Finding("ok", "packages", ", ".join(known))
    if missing:
        yield Finding("FAIL", "packages", f"no {', '.join(missing)}", "make setup")


def cores() -> Iterator[Finding]:
    """Cores available to this process, and threads that torch uses."""
    import torch

    count = processor.cores()
    yield Finding("ok", "cores", f"{count}, of which torch uses {torch.get_num_threads()}")


def folders() -> Iterator[Finding]:
    """Whether runs can be written, and whether the disk has room."""
    for name, folder in (("OUTPUT_DIR", outputs()), ("RESULTS_DIR", results())):
        existing = next(path for path in (folder.absolute(), *folder.absolute().parents)
                        if path.exists())  # fmt: skip
        try:
            with tempfile.TemporaryDirectory(dir=existing) as place:
                make_folder(Path(place) / "runs")
        except (OSError, FolderError) as error:
            reason = str(error).splitlines()[0]
            yield Finding("FAIL", name, f"{folder}: {reason}", f"Set {name} to another folder.")
            continue
        free = shutil.disk_usage(existing).free
        state = f"{folder}, {free / 1e9:.1f} GB free"
        yield judged(free >= LEAST_DISK, name, state, f"Free some space, or set {name}.")


def code() -> Iterator[Finding]:
    """The state of the code, which decides whether a record may enter a table."""
    state = commit()
    if state["commit"] is None:
        yield Finding("note", "code", "no git here", "Set SOURCE_COMMIT, or records lack it.")
    elif state["clean"]:
        yield Finding("ok", "code", f"commit {state['commit'][:12]}, nothing changed")
    else:
        yield Finding(
            "note", "code", f"commit {state['commit'][:12]} with uncommitted changes",
            "Commit them, or new runs will enter no table.",
        )  # fmt: skip


def data() -> Iterator[Finding]:
    """The data sets present, each read in full and checked against its published facts."""
    folder = datasets()
    for name in SETS:
        path = folder / f"{name}.npz"
        if not path.exists():
            yield Finding("note", name, f"not in {folder}", f"make data DATASET={name}")
            continue
        try:
            images = load(name, folder)
        except DataError as error:
            reason = str(error).splitlines()[0]
            yield Finding("FAIL", name, reason, f"Delete {path}, then make data DATASET={name}.")
            continue
        assert isinstance(images, ImageSet)
        yield Finding("ok", name, f"{path}, fingerprint {images.fingerprint}")
    tree = folder / "imagenet" / "train"
    there = tree.is_dir() and any(tree.iterdir())
    state = str(tree) if there else f"not in {folder}"
    yield judged(there, "imagenet", state, "See docs/photographs.md.", otherwise="note")


def tracking() -> Iterator[Finding]:
    """W&B, which no run needs."""
    try:
        version = importlib.metadata.version("wandb")
    except importlib.metadata.PackageNotFoundError:
        yield Finding("note", "W&B", "not installed", "make setup, for logger=wandb")
        return
    from records.wandb_run import mode

    remedy = "wandb login, to mirror runs online"
    yield judged(mode() == "online", "W&B", f"wandb {version}, {mode()}", remedy, otherwise="note")


CHECKS = (python, cores, folders, code, data, tracking)
