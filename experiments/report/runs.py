"""What the report shows of every run: its result, its provenance, and its cost."""

import math
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import pandas as pd

from experiments.papers import published
from experiments.tables.cells import MISSING
from experiments.verdicts.records import RunRecord, extras
from experiments.verdicts.tested import results as results_of_tests
from records.names import FULL, KEPT, PARTS, results, weights_file

# The provenance of a number, as summary.json has it, in the order of the page.
PROVENANCE = {
    "status": "Status", "preset": "Preset", "iterations": "Iterations", "precision": "Precision",
    "engine": "Engine", "processes": "Processes", "deterministic": "Deterministic",
    "bn_batch": "Images per normalisation",
    "device": "Device", "driver": "Driver", "torch": "torch",
    "images_per_second": "Images per second", "runs_at_once": "Runs at once",
    "recipe": "Recipe hash", "data": "Data fingerprint",
    "commit": "Commit", "clean": "Code committed", "code": "Code hash",
    "weights": "SHA-256 of the weights",
}  # fmt: skip
CURVES = ("epoch", "train_error", "test_error")


def name(record: RunRecord) -> str:
    """The name of a run among those of its row."""
    row = record.run.split("/")[2]
    return f"seed {record.seed}" if record.unchanged else f"{row}, seed {record.seed}"


def facts(record: RunRecord) -> list[tuple[str, str]]:
    """The provenance of a run's number, as names and values, and the results of other tests."""
    summary = record.summary
    lines = [(name, shown(summary[key])) for key, name in PROVENANCE.items() if key in summary]
    for test, one in results_of_tests(record)[0].items():
        name = f"Error by {' '.join(published.test_arguments(test))}"
        top5 = one.summary[published.TOP5]
        lines.append((name, f"{one.error('last'):.2f} %, top 5 {top5:.2f} %"))
    return lines


def command(record: RunRecord) -> str:
    """The command that repeats a run; empty if its name does not spell out every override."""
    row = record.run.split("/")[2]
    if "-" in row:  # replaces characters that a name cannot hold
        return ""
    arguments = [f"experiment={record.experiment}", *row.split("+")[1:], f"data={record.dataset}"]
    arguments += [] if record.preset == FULL else [f"preset={record.preset}"]
    return " ".join(["python train.py", *arguments, f"seed={record.seed}"])


def files(record: RunRecord) -> list[tuple[str, str]]:
    """The files of a record and its shipped weights: names, and addresses relative to the page."""
    preset, run = record.preset, record.run
    links = [
        (name, address(preset, quote(f"runs/{run}/{name}")))
        for name in (*PARTS, *extras())
        if (record.folder / name).exists()
    ]
    if weights_file(results(), preset, run).exists():
        links.append(("weights", address(preset, quote(f"weights/{run}.safetensors"))))
    return links


def address(preset: str, file: str) -> str:
    """The address of a preset's result file, relative to the page in results/report."""
    return "/".join(filter(None, ("..", KEPT[preset], file)))


def shown(value: Any) -> str:
    """A fact as text."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def curves(records: Iterable[RunRecord]) -> dict[str, dict[str, list[float | None]]]:
    """Training and test error of every run by epoch, keyed by the run's anchor."""
    return {
        run_anchor(record): {
            name: [round(float(v), 3) if math.isfinite(v) else None for v in frame[name]]
            for name in CURVES
        }
        for record in records
        for frame in [record.metrics()]
    }


def costs(records: Iterable[RunRecord]) -> pd.DataFrame:
    """What runs took, one line per device, GPUs first: minutes of training, without evaluation, and
    minutes of the device, shared by runs at once and multiplied by the processes of a run."""
    lines = []
    for record in records:
        summary, minutes = record.summary, (record.seconds or 0.0) / 60
        if (device := summary.get("device")) is not None:
            share = (summary.get("processes") or 1) / (summary.get("runs_at_once") or 1)
            lines.append((summary.get("driver") is None, device, 1, minutes, minutes * share))
    names = ["cpu", "Device", "Runs", "Training minutes", "Device minutes"]
    return pd.DataFrame(lines, columns=names).groupby(["cpu", "Device"]).sum().reset_index()


def group_anchor(experiment: str, dataset: str) -> str:
    """The anchor of a row's runs."""
    return f"runs-{slug(experiment)}-{dataset}"


def run_anchor(record: RunRecord) -> str:
    """The anchor of a run."""
    return f"run-{slug(record.run)}"


def slug(name: str) -> str:
    """A name as an anchor on the page, distinct for distinct names of runs."""
    return name.replace("/", "-").replace("=", "_is_").replace("+", "_with_").replace(" ", "-")
