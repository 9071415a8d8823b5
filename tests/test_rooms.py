"""The rooms of the code, and what each may import: what lies below it.

A room is a folder, or a file that stands alone. Those of one house stand on floors; a room imports
only from lower floors of its own house and from the other houses that are named here.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from records.files import ROOT

# From the ground; rooms on one floor do not import each other.
FLOORS = {
    "records": [["records"]],
    "models": [["models"]],
    "data": [["data.order"], ["data.arrays", "data.photographs"], ["data.sets"]],
    "training": [
        ["training.settings"],
        ["training.process"],
        ["training.recipe"],
        ["training.weights", "training.engines"],
        ["training.trainer"],
        ["training.loop"],
        ["training.runs"],
        ["training.bench", "training.counts", "training.doctor", "training.theory"],
    ],
    "experiments": [
        ["experiments.papers"],
        ["experiments.verdicts"],
        ["experiments.plan", "experiments.tables", "experiments.figures"],
        ["experiments.execution", "experiments.compile"],
        ["experiments.report", "experiments.sharing", "experiments.reproduce",
         "experiments.train", "experiments.status"],
    ],
    "train": [["train"]],
    "eval": [["eval"]],
}  # fmt: skip
# What a house imports of others.
OTHERS = {
    "records": [],
    "models": [],
    "data": ["records"],
    "training": ["records", "data", "models"],
    "experiments": ["records"],
    "train": ["records", "training"],
    "eval": ["records", "data", "training"],
}
WITHOUT_TORCH = ("records", "experiments")
OF_TESTS = ("tests", "unittest", "pytest")  # no house imports them
FLOOR = {room: floor for house in FLOORS.values() for floor, rooms in enumerate(house)
         for room in rooms}  # fmt: skip
HOUSES = [house for house in FLOORS if (ROOT / house).is_dir()]


def files(house: str) -> list[Path]:
    """The files of a house, relative to the checkout."""
    found = sorted((ROOT / house).rglob("*.py")) or [ROOT / f"{house}.py"]
    return [path.relative_to(ROOT) for path in found]


def module_of(path: Path) -> str:
    """The name by which a file is imported."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path) for house in FLOORS for path in files(house)}


def imported(path: Path, source: str) -> Iterator[str]:
    """The modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(path.parts[: -node.level]) if node.level else ""
            whole = ".".join(part for part in (above, node.module) if part)
            for alias in node.names:
                inner = f"{whole}.{alias.name}"
                yield inner if inner in MODULES else whole


def room_of(module: str) -> str:
    """The room that a module of ours is in; of others, and of a house itself, the first name."""
    rooms = [room for room in FLOOR if f"{module}.".startswith(f"{room}.")]
    return rooms[0] if rooms else module.split(".")[0]


def is_below(module: str, path: Path) -> bool:
    """Whether what is imported lies below the file that imports it."""
    house, other = path.with_suffix("").parts[0], module.split(".")[0]
    if other == "torch":
        return house not in WITHOUT_TORCH
    if other not in FLOORS:
        return other not in OF_TESTS
    if other != house:
        return other in OTHERS[house]
    mine, its = room_of(module_of(path)), room_of(module)
    if mine not in FLOOR or its not in FLOOR:
        return False
    return mine == its or FLOOR[its] < FLOOR[mine]


def breaches(path: Path, source: str) -> list[str]:
    """What a file imports that it may not."""
    return [
        f"{path} imports room {room_of(module)}, which is not below it"
        for module in imported(path, source)
        if not is_below(module, path)
    ]


@pytest.mark.parametrize("house", FLOORS)
def test_a_room_imports_only_what_lies_below_it(house: str) -> None:
    found = [
        breach for path in files(house) for breach in breaches(path, (ROOT / path).read_text())
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("house", FLOORS)
def test_every_file_is_in_a_room(house: str) -> None:
    outside = [
        str(path) for path in files(house)
        if room_of(module_of(path)) not in FLOOR and path != Path(house, "__init__.py")
    ]  # fmt: skip
    assert not outside, f"no floor is given for {', '.join(outside)}"


@pytest.mark.parametrize("house", HOUSES)
def test_a_room_says_what_it_is(house: str) -> None:
    folders = {path.parent for path in files(house)}
    silent = [
        str(folder) for folder in sorted(folders)
        if not ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text()))
    ]  # fmt: skip
    assert not silent, f"no docstring in the __init__.py of {', '.join(silent)}"


@pytest.mark.parametrize(
    ("path", "source", "room"),
    [
        ("training/settings/checks.py", "from training.process import x", "training.process"),
        ("training/recipe/step.py", "def f():\n    import training.engines", "training.engines"),
        ("training/engines/graph.py", "import training.weights.export", "training.weights"),
        ("training/engines/kernels/loss.py", "from ...weights import export", "training.weights"),
        ("training/trainer.py", "from training import loop", "training.loop"),
        ("training/runs/run.py", "import train", "train"),
        ("training/runs/run.py", "import experiments.plan.jobs", "experiments.plan"),
        ("data/arrays/cifar.py", "from data.photographs import tree", "data.photographs"),
        ("data/order.py", "from data import sets", "data.sets"),
        ("data/sets.py", "from training.runs import run", "training.runs"),
        ("models/resnet.py", "from data.order import Spans", "data.order"),
        ("experiments/papers/rows.py", "from experiments.plan.jobs import Job", "experiments.plan"),
        ("experiments/plan/jobs.py", "from experiments import compile", "experiments.compile"),
        ("experiments/tables/tables.py", "import training.counts.rows", "training.counts"),
        ("records/lock.py", "import torch.distributed", "torch"),
        ("experiments/status.py", "from torch import Tensor", "torch"),
        ("training/settings/network.py", "from unittest.mock import patch", "unittest"),
    ],
)
def test_an_import_from_above_is_found(path: str, source: str, room: str) -> None:
    expected = f"{path} imports room {room}, which is not below it"
    assert breaches(Path(path), source) == [expected]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("training/recipe/step.py", "import torch\nfrom training.settings.recipe import Recipe"),
        ("training/recipe/step.py", "from training.recipe import optimizer\nimport data.sets"),
        ("training/engines/kernels/loss.py", "from . import tiles\nfrom ..graph import Captured"),
        ("data/sets.py", "from data.arrays import cifar\nfrom data.photographs import tree"),
        ("experiments/reproduce.py", "import numpy\nfrom experiments.execution import execute"),
        ("eval.py", "from data.sets import load\nfrom training.runs import entry"),
    ],
)
def test_an_import_from_below_is_none_of_them(path: str, source: str) -> None:
    assert breaches(Path(path), source) == []
