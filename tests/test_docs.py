"""README and docs: every link leads somewhere, every command could be typed."""

import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from records.files import ROOT
from training.settings.config import CONF, EVAL_OPTIONS, read_settings

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
VARIABLES = set(re.findall(r"\$\(([A-Z]+)\)", MAKEFILE))
PLACEHOLDER = re.compile(r"FILE|FOLDER")
MULTIRUN = ("-m", "hydra/")


def commands(page: Path) -> list[str]:
    """The indented lines of a page that a reader would type, without their comments."""
    lines = page.read_text(encoding="utf-8").splitlines()
    typed = (line.strip().partition("  #")[0].strip() for line in lines if line.startswith("    "))
    return [line for line in typed if line.startswith(("make ", "python ", "torchrun "))]


COMMANDS = [(page.name, line) for page in PAGES for line in commands(page)]
PYTHON = [line for _, line in COMMANDS if re.search(r"(train|eval)\.py", line)]


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
    named = [line for line in commands(page) if line.startswith("make ")]
    named += re.findall(r"`(make [^`]+)`", text.replace("\n", " "))
    for line in named:
        target, *given = shlex.split(line)[1:]
        assert target in TARGETS, line
        for word in given:
            name, equals, _ = word.partition("=")
            assert not equals or name in VARIABLES, f"{line}: {name}"


def test_there_are_commands_to_try() -> None:
    assert len(PYTHON) > 10 and len({name for name, _ in COMMANDS}) > 4


@pytest.mark.parametrize("line", PYTHON)
def test_hydra_takes_what_is_written(line: str) -> None:
    words = shlex.split(line)
    script = next(word for word in words if word.endswith(".py"))
    told = [w for w in words[words.index(script) + 1 :] if not w.startswith(MULTIRUN)]
    told = [word for word in told if not word.startswith("hydra")]
    for choice in next(([w] for w in told if w.startswith("experiment=")), [""]):
        rows = choice.removeprefix("experiment=").split(",") if choice else [""]
        for row in rows:
            others = [w for w in told if not w.startswith(("experiment=", "table="))]
            others = [re.sub(r"^(seed=\d+),.*", r"\1", word) for word in others]
            chosen = [f"experiment={row}"] if row else []
            with initialize_config_dir(str(CONF), version_base="1.3"):
                config = compose("eval" if script == "eval.py" else "config", [*chosen, *others])
            if row:
                read_settings(config, EVAL_OPTIONS if script == "eval.py" else ())
    for word in told:
        if word.startswith("table="):
            assert (CONF / "table" / f"{word.removeprefix('table=')}.yaml").exists(), word
        if word.startswith("run=") and not PLACEHOLDER.search(word) and "results/" in word:
            assert (ROOT / word.removeprefix("run=")).is_dir(), word
