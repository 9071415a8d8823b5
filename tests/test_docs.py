"""README and docs: every link leads somewhere, every command runs or says what it needs."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from PIL import Image

from records.files import ROOT
from tests.conftest import real
from tests.documents import PAGES, commands, python_blocks
from training.settings.config import CONF, EVAL_OPTIONS, read_settings

LINK = re.compile(r"\]\(([^)\s]+)\)")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
VARIABLES = set(re.findall(r"\$\(([A-Z]+)\)", MAKEFILE))
PLACEHOLDER = re.compile(r"FILE|FOLDER")
MULTIRUN = ("-m", "hydra/")


COMMANDS = [typed for page in PAGES for typed in commands(page)]
PYTHON = [one.command for one in COMMANDS if re.search(r"(train|eval)\.py", one.command)]
SHIPPED = "results/weights/he2015_residual/table6/resnet20/cifar10_aug/seed0.safetensors"


# What docs/troubleshooting.md promises, and the tests that show it.
RUNS, DAMAGE = "training/runs/test_resume.py", "experiments/verdicts/test_damaged.py"
EXECUTION, BAD = "experiments/execution/test_execute.py", "training/settings/test_bad_input.py"
PROMISES = {
    "a process is killed, the power fails": [
        f"{RUNS}::test_a_killed_run_ends_with_the_same_bits", f"{RUNS}::test_two_hundred_kills",
        "training/runs/test_faults.py::test_no_fault_of_a_call_does_harm",
    ],
    "a run raises an error, dies or shows no progress for half an hour": [
        f"{EXECUTION}::test_sixteen_of_twenty_finish_and_the_next_call_runs_the_other_four",
        f"{EXECUTION}::test_a_run_that_dies_once_goes_on",
    ],
    "two commands on one folder, even from two machines": [
        f"{EXECUTION}::test_eight_planners_on_one_table_execute_each_run_once",
        "training/runs/test_runs.py::test_a_run_is_locked_before_its_data_are_loaded",
    ],
    "a checkpoint is damaged": [
        "training/runs/test_checkpoint.py::test_every_damage_is_noticed",
    ],
    "a record or a published number was changed by accident": [
        f"{DAMAGE}::test_a_changed_byte_is_seen",
        "experiments/papers/test_sums.py::test_no_byte_of_them_changes_unseen",
    ],
    "the disk is full": [
        f"{BAD}::test_a_full_disk_keeps_the_last_checkpoint",
        f"{EXECUTION}::test_a_full_disk_pauses_the_plan",
    ],
    "a disk fails, is read-only, or has a folder where a file should be": [
        "records/test_command.py::test_a_command_ends_with_a_line_and_a_code",
        f"{BAD}::test_a_folder_where_a_file_should_be",
        "training/runs/test_faults.py::test_no_fault_of_a_call_does_harm",
    ],
    "a photograph is damaged, or changed after its folder was listed": [
        "data/photographs/test_odd_images.py::"
        "test_what_cannot_be_read_is_named_and_skipped_in_training",
        "data/photographs/test_odd_trees.py::test_what_changed_after_it_was_listed_is_named",
    ],
    "shared memory runs out, or a decoding process dies": [
        "data/photographs/test_workers.py::test_no_worker_outlives_its_process",
        "data/photographs/test_workers.py::test_little_shared_memory_is_named_with_its_remedy",
    ],
    "a terminal or pipe accepts only ASCII": [
        "records/test_command.py::test_commands_write_to_any_terminal",
    ],
    "the loss is not finite": [
        f"{BAD}::test_a_diverged_run_keeps_its_record_and_ends_with_4",
    ],
    "NIN, All-CNN-C or Maxout stays at a loss of 2.3026, that of guessing among ten classes": [
        "training/recipe/test_learning.py::test_it_learns_sixteen_images",
        "models/test_stack.py::test_classes_that_have_fallen_silent_guess_and_learn_nothing",
    ],
    "GPU memory runs out": [
        f"{EXECUTION}::test_a_run_without_gpu_memory_beside_others_waits_until_one_has_ended",
    ],
    "W&B does not answer, or crashes": [
        "training/runs/test_tracking.py::"
        "test_a_server_that_does_not_answer_costs_half_a_minute_at_most",
        "training/runs/test_tracking.py::test_a_run_goes_on_without_wandb",
    ],
}  # fmt: skip


def test_every_promise_is_shown_by_a_test() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    promised = re.findall(r"^\| ([^|]*\w[^|]*) \|", page, re.MULTILINE)
    assert promised == list(PROMISES)
    for tests in PROMISES.values():
        for test in tests:
            file, name = test.split("::")
            text = (ROOT / "tests" / file).read_text(encoding="utf-8")
            assert re.search(rf"^def {name}\(", text, re.MULTILINE), test


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith(("http", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(LINK.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    assert {str(page.relative_to(ROOT)) for page in PAGES[1:]} <= linked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_knows_its_targets_and_variables(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = [one.command for one in commands(page) if one.command.startswith("make ")]
    named += re.findall(r"`(make [^`]+)`", text.replace("\n", " "))
    for line in named:
        target, *given = shlex.split(line)[1:]
        assert target in TARGETS, line
        for word in given:
            name, equals, _ = word.partition("=")
            assert not equals or name in VARIABLES, f"{line}: {name}"


def test_there_are_commands_to_try() -> None:
    assert len(PYTHON) > 10 and len({one.page for one in COMMANDS}) > 4
    assert sum(not one.needs for one in COMMANDS) > 10


@pytest.mark.parametrize("line", PYTHON)
def test_hydra_takes_what_is_written(line: str) -> None:
    words = shlex.split(line)
    script = next(word for word in words if word.endswith(".py"))
    arguments = [w for w in words[words.index(script) + 1 :] if not w.startswith(MULTIRUN)]
    arguments = [word for word in arguments if not word.startswith("hydra")]
    for choice in next(([w] for w in arguments if w.startswith("experiment=")), [""]):
        rows = choice.removeprefix("experiment=").split(",") if choice else [""]
        for row in rows:
            others = [w for w in arguments if not w.startswith(("experiment=", "table="))]
            others = [re.sub(r"^(seed=\d+),.*", r"\1", word) for word in others]
            chosen = [f"experiment={row}"] if row else []
            with initialize_config_dir(str(CONF), version_base="1.3"):
                config = compose("eval" if script == "eval.py" else "config", [*chosen, *others])
            if row:
                read_settings(config, EVAL_OPTIONS if script == "eval.py" else ())
    for word in arguments:
        if word.startswith("table="):
            assert (CONF / "table" / f"{word.removeprefix('table=')}.yaml").exists(), word
        if word.startswith("run=") and not PLACEHOLDER.search(word) and "results/" in word:
            assert (ROOT / word.removeprefix("run=")).is_dir(), word


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_of_python_run(page: Path) -> None:
    known = {"torch": torch, "images": torch.rand(2, 3, 32, 32)}
    for block in python_blocks(page):
        exec(block.replace("<this checkout>", str(ROOT)), known)  # noqa: S102


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git tracks, with a .venv that is this one."""
    folder = tmp_path_factory.mktemp("checkout")
    tracked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(tracked, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():  # and not deleted, yet tracked
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    (folder / ".venv" / "ready").touch()
    Image.new("RGB", (48, 48), "seagreen").save(folder / "picture.png")
    return folder


QUICK = ("README.md",)
EXECUTED = [
    pytest.param(page, id=page.name, marks=[] if page.name in QUICK else pytest.mark.slow)
    for page in PAGES
    if any(not one.needs for one in commands(page))
]


@pytest.mark.parametrize("page", EXECUTED)
def test_what_needs_nothing_more_runs(page: Path, checkout: Path) -> None:
    programs = (checkout / ".venv" / "bin", Path(sys.executable).parent, os.environ["PATH"])
    environment = os.environ | {
        "DATA_DIR": str(real("cifar10").resolve()),
        "PATH": os.pathsep.join(map(str, programs)),
        "WANDB_MODE": "offline",
        "OMP_NUM_THREADS": "1",  # tests run side by side
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    for name in ("OUTPUT_DIR", "RESULTS_DIR", "MAKEFLAGS", "MAKEOVERRIDES"):
        environment.pop(name, None)
    for line in (one.command for one in commands(page) if not one.needs):
        typed = line.replace("image=FILE", "image=picture.png").replace("FILE", SHIPPED)
        ended = subprocess.run(
            ["/bin/sh", "-c", typed], cwd=checkout, env=environment, check=False,
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert ended.returncode == 0, f"{line}\n{ended.stdout}\n{ended.stderr}"


FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_who_reports_a_problem_is_asked_for_the_doctor(form: Path) -> None:
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    assert content["name"] and content["description"]
    fields = {field["id"]: field for field in content["body"]}
    assert len(fields) == len(content["body"])
    assert "make doctor" in fields["doctor"]["attributes"]["label"]
