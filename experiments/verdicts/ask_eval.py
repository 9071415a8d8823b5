"""Run eval.py in its own process, for results that need the weights of a record."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from records.files import ROOT
from records.names import datasets


@dataclass(frozen=True)
class Answer:
    """What eval.py printed: its last line if it succeeded, else one line saying why it failed."""

    line: str = ""
    reason: str = ""


def ask_eval(record: Path, *options: str) -> Answer:
    """Run eval.py on the record in a folder."""
    folders = {"run": record, "data.folder": datasets()}
    paths = [f"{key}={quoted(str(path.resolve()))}" for key, path in folders.items()]
    ended = subprocess.run(
        [sys.executable, "eval.py", *paths, *options],
        check=False, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    lines = (ended.stderr if ended.returncode else ended.stdout).strip().splitlines()
    if ended.returncode == 0:
        return Answer(line=lines[-1] if lines else "")
    if not lines:
        return Answer(reason=f"eval.py ended with code {ended.returncode}.")
    return Answer(reason=lines[-1 if lines[0].startswith("Traceback") else 0])


def test_error(record: Path, weights: Path) -> tuple[float | None, str]:
    """Test error in percent of the record's network with `weights`, or None and the reason."""
    answer = ask_eval(record, f"weights={quoted(str(weights.resolve()))}", "json=true")
    if answer.reason:
        return None, answer.reason
    return float(json.loads(answer.line)["top1"]), ""


def data_file(dataset: str) -> Path:
    """Where the file of a data set should be."""
    return datasets() / f"{dataset.removesuffix('_aug')}.npz"


def quoted(text: str) -> str:
    """Quote a value for Hydra's command line, whatever it contains."""
    return "'" + text.replace("'", "\\'") + "'"
