"""What the Makefile takes on its command line."""

import fcntl
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from records.files import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def make(*words: str, dry: bool = True, **environment: str) -> subprocess.CompletedProcess:
    """Run make as from a shell, whatever make has started the tests."""
    above = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")
    clean = {name: value for name, value in os.environ.items() if name not in above}
    command = ["make", *(["--dry-run"] if dry else []), "--no-print-directory", *words]
    return subprocess.run(
        command, cwd=ROOT, env=clean | environment, check=False, capture_output=True, text=True
    )


def stand_in(path: Path, script: str) -> Path:
    """A shell script in the place of a program."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("target", "word"),
    [
        ("reproduce-table", "TABEL=he2015_residual/fig6"),
        ("reproduce-table", "row=resnet20"),
        ("reproduce-table", "NETWORKS=resnet20"),  # of another target
        ("status", "TABLE=he2015_residual/fig6"),
        ("report", "PRESET=tenth"),
    ],
)
def test_a_variable_that_would_be_ignored_is_refused(target: str, word: str) -> None:
    ended = make(target, word)
    assert ended.returncode == 2 and not ended.stdout
    assert f"`make {target}` has no variable {word.partition('=')[0]}; it has" in ended.stderr
    assert ("TABLE" in ended.stderr) == (target != "report") and ended.stderr.count("\n") <= 2


# What stands for several variables.
TOGETHER = {"KEPT": ["PRESET"], "HOW": ["PRESET", "JOBS", "MINUTES", "PLAN", "YES"]}
OTHERS = {"RUN", "PYTHON", "SELF", "STOPPED"}


def test_a_target_takes_what_its_lines_use() -> None:
    for target, lines in re.findall(r"^([a-z-]+):.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE):
        used = set(re.findall(r"\$\(([A-Z]+)\)", lines)) - OTHERS
        for name in {name for one in used for name in TOGETHER.get(one, [one])}:
            assert make(target, f"{name}=x").returncode == 0, (target, name)


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


def test_a_value_reaches_its_command_as_it_was_typed(tmp_path: Path) -> None:
    """Whatever the shell would make of it."""
    stand_in(tmp_path / "bin" / "python", "printf '%s\\n' \"$@\"")
    (tmp_path / "ready").touch()
    value = 'it\'s "a" b;*`c`'
    for target, takes in re.findall(r"^([a-z-]+):.*## .*\[(.*)\]$", MAKEFILE, re.MULTILINE):
        names = {word.partition("=")[0] for word in takes.split() if "=" in word}
        words = [f"{name}={value}" for name in names - {"PLAN", "YES"}]
        ended = make(f"VENV={tmp_path}", target, *words, dry=False)
        assert ended.returncode == 0 and not ended.stderr, ended.stderr
        assert words and ended.stdout.splitlines().count(value) == len(words), target


class Version(NamedTuple):
    """As `sys.version_info`."""

    major: int
    minor: int


@pytest.mark.parametrize("minor", range(9, 17))
def test_pythons_are_taken_that_the_project_says_it_supports(minor: int) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    supported = f"3.{minor}" in SpecifierSet(project["requires-python"])
    code = re.search(r"-c '(import sys; v = sys.version_info;.*?)'", MAKEFILE)
    assert code
    with pytest.raises(SystemExit) as ended:
        exec(code[1].replace("sys.version_info", "version"), {"version": Version(3, minor)})  # noqa: S102
    assert (ended.value.code is None) == supported
    assert supported or f"Python 3.{minor}" in str(ended.value.code)


@pytest.mark.parametrize("target", ["reproduce-table", "train"])
@pytest.mark.parametrize(("code", "expected"), [(0, 0), (75, 0), (1, 2), (2, 2), (130, 2)])
def test_saved_and_stopped_is_no_error(
    target: str, code: int, expected: int, tmp_path: Path
) -> None:
    stand_in(tmp_path / "bin" / "python", f"exit {code}")
    (tmp_path / "ready").touch()  # newer than what it is made from
    ended = make(target, f"VENV={tmp_path}", dry=False)
    assert ended.returncode == expected
    assert bool(ended.stderr) == bool(expected)


def test_two_shells_do_not_set_up_one_environment(tmp_path: Path) -> None:
    with (tmp_path / "busy").open("w") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        ended = make("status", f"VENV={tmp_path}", dry=False)
        assert ended.returncode == 2 and "Another make is setting up" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["busy"]
    # One that was killed has left the file, and holds up nobody.
    stand_in(tmp_path / "bin" / "python", "exit 0")
    ended = make("setup", f"VENV={tmp_path}", dry=False)
    assert ended.returncode == 0 and (tmp_path / "ready").exists(), ended.stderr


@pytest.mark.parametrize("python", ["no-such-python", "/no/such/python3", "no-such-uv run python"])
def test_a_python_that_is_missing_is_named(python: str, tmp_path: Path) -> None:
    ended = make("setup", f"VENV={tmp_path}", f"PYTHON={python}", dry=False)
    assert ended.returncode == 2 and f"There is no {python}: install Python" in ended.stderr


def test_a_venv_whose_python_is_gone_is_made_anew(tmp_path: Path) -> None:
    """As after an upgrade of the python it was made with; one that works is left alone."""
    python = stand_in(tmp_path / "python3", f'echo "$@" >> "{tmp_path / "log"}"')
    inside = tmp_path / "bin" / "python"
    inside.parent.mkdir()
    inside.symlink_to(tmp_path / "gone")
    make("setup", f"VENV={tmp_path}", f"PYTHON={python}", dry=False)
    assert f"-m venv {tmp_path}" in (tmp_path / "log").read_text() and not inside.is_symlink()
    stand_in(inside, "exit 1")  # as one without pip
    make("setup", f"VENV={tmp_path}", f"PYTHON={python}", dry=False)
    assert inside.exists()


def test_a_file_system_without_locks_does_not_keep_from_setting_up(tmp_path: Path) -> None:
    stand_in(tmp_path / "bin" / "flock", "exit 71")
    stand_in(tmp_path / "bin" / "python", "exit 0")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    ended = make("setup", f"VENV={tmp_path}", dry=False, PATH=path)
    assert ended.returncode == 0 and (tmp_path / "ready").exists(), ended.stderr


def test_the_checkout_is_imported_from_and_read_whatever_the_environment(tmp_path: Path) -> None:
    stand_in(tmp_path / "bin" / "python", 'echo "safe path: $PYTHONSAFEPATH"')
    (tmp_path / "ready").touch()
    (tmp_path / "other.mk").touch()
    ended = make(f"VENV={tmp_path}", "reproduce-table", "ROWS=resnet20", dry=False,
                 PYTHONSAFEPATH="1", MAKEFILES=str(tmp_path / "other.mk"))  # fmt: skip
    assert (ended.stdout, ended.stderr) == ("safe path: \n", "")


def test_a_venv_whose_folder_has_a_blank_is_refused() -> None:
    ended = make("setup", "VENV=/tmp/my venv")
    assert ended.returncode == 2 and "holds a blank" in ended.stderr


def test_what_an_environment_happens_to_hold_is_not_taken() -> None:
    held = {"TABLE": "x", "PRESET": "tenth", "SEEDS": "9", "ROWS": "x", "JOBS": "9", "RUNS": "x",
            "MINUTES": "1", "PLAN": "1", "YES": "1", "A": "x", "B": "x", "DATASET": "x",
            "FIGURE": "x", "NETWORKS": "x"}  # fmt: skip
    for target in ("reproduce-table", "train", "table", "figure", "compare", "data", "bench"):
        assert make(target, **held).stdout == make(target).stdout, target


@pytest.mark.parametrize("off", ["", "0", "no", "No", "n", "off", "false", "False"])
def test_a_switch_can_be_off(off: str) -> None:
    assert "--plan" in make("train", "PLAN=1").stdout
    assert "--plan" not in make("train", f"PLAN={off}").stdout


def test_one_version_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    changes = re.search(r"^## (\S+?),", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert cited and changes and cited[1] == changes[1] == project["version"]


def test_the_versions_that_were_tried_together_are_allowed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {
        canonicalize_name(name): version
        for name, _, version in (line.partition("==") for line in lines if "==" in line)
    }
    for one in map(Requirement, project["dependencies"]):
        assert pinned[canonicalize_name(one.name)] in one.specifier, one
