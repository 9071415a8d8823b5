"""What the Makefile takes on its command line."""

import re
import subprocess

import pytest

from records.files import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def make(*words: str) -> subprocess.CompletedProcess:
    command = ["make", "--dry-run", "--no-print-directory", *words]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("word", ["TABEL=he2015_residual/fig6", "row=resnet20", "PLANS=1"])
def test_a_mistyped_variable_is_refused(word: str) -> None:
    ended = make("reproduce-table", word)
    assert ended.returncode == 2 and not ended.stdout
    assert f"{word.partition('=')[0]} is no variable of this Makefile" in ended.stderr
    assert "TABLE" in ended.stderr and ended.stderr.count("\n") <= 2


def test_every_variable_that_is_used_is_known() -> None:
    known = re.search(r"^KNOWN := (.*?[^\\])$", MAKEFILE, re.MULTILINE | re.DOTALL)
    assert known
    made = set(re.findall(r"^([A-Z]+) (?::=|=)", MAKEFILE, re.MULTILINE)) - {"VENV"}
    used = set(re.findall(r"\$\(([A-Z]+)\)", MAKEFILE)) - made - {"MAKEOVERRIDES"}
    assert used <= set(known[1].split()), used - set(known[1].split())


@pytest.mark.parametrize(
    "words",
    [
        (
            "reproduce-table",
            "ROWS=resnet20,resnet56",
            "PRESET=tenth",
            "MINUTES=9",
            "JOBS=2",
            "YES=1",
        ),
        ("compare", "A=results", "B=results+precision=bf16"),
        ("figure", "FIGURE=he2015_residual/fig6"),
        ("data", "DATA_DIR=/mnt/d"),
        ("wandb-sync", "WANDB_MODE=offline"),
        ("train", "CUDA_VISIBLE_DEVICES=0", "OUTPUT_DIR=/x"),
    ],
    ids=lambda words: words[0],
)
def test_what_is_spelled_right_is_taken(words: tuple[str, ...]) -> None:
    ended = make(*words)
    assert ended.returncode == 0, ended.stderr
