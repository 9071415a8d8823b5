"""Ask eval.py, in a process of its own, what only the weights of a record can tell."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from records.files import ROOT
from records.names import datasets


@dataclass(frozen=True)
class Answer:
    """What eval.py said: its last line where it succeeded, else why it did not, in a line."""

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
    """Test error in percent of a weights file as the record's network, or None and the reason."""
    answer = ask_eval(record, f"weights={quoted(str(weights.resolve()))}", "json=true")
    if answer.reason:
        return None, answer.reason
    return float(json.loads(answer.line)["top1"]), ""


def data_file(dataset: str) -> Path:
    """The file of a data set, wherever it should be."""
    return datasets() / f"{dataset.removesuffix('_aug')}.npz"


def quoted(text: str) -> str:
    """A value as Hydra's command line takes it, whatever it contains."""
    return "'" + text.replace("'", "\\'") + "'"
