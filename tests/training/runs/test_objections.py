"""A run that cannot enter a table says so before it starts, by the rules that decide afterwards."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.papers import datasets
from experiments.verdicts.records import RunRecord
from records.files import ROOT
from records.names import run_name
from training.runs import objections
from training.settings.config import named
from training.settings.identity import recipe_hash
from training.settings.settings import Settings

ROW = "he2015_residual/table6/resnet20"
RECORD = ROOT / "results/runs" / ROW / "cifar10_aug/seed0/summary.json"


@pytest.mark.parametrize("preset", ["paper", "tenth"])
@pytest.mark.parametrize(
    ("told", "fingerprint", "changed", "said"),
    [
        ([], None, [], ""),
        (["seed=3", "device=cpu", "threads=1"], None, [], ""),
        (["recipe.lr=0.2"], None, [], "changed by overrides"),
        (["data=svhn"], None, [], "no table trains its row"),
        ([], "0123456789abcdef", [], "its data differ"),
        ([], None, ["models/resnet.py"], "models/resnet.py has uncommitted"),
        (["precision=bf16"], None, ["a.py", "b.py"], "a.py and 1 more have uncommitted"),
    ],
    ids=["row", "machine", "overrides", "data set", "other data", "uncommitted", "both"],
)
def test_it_is_said_where_a_record_would_be_refused(
    preset: str,
    told: list[str],
    fingerprint: str | None,
    changed: list[str],
    said: str,
    settings_of: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(objections, "uncommitted", lambda: changed)
    settings = settings_of(f"experiment={ROW}", f"preset={preset}", *told)
    data = fingerprint or (datasets.of(settings.data.name).fingerprint or "")
    name = run_name(ROW, named(told), settings.data.name, settings.seed)
    found = objections.objections(settings, ROW, name, data)
    assert said in "; ".join(found) and bool(found) == bool(said)

    summary = json.loads(RECORD.read_text()) | {
        "run": name, "dataset": settings.data.name, "seed": settings.seed, "preset": preset,
        "recipe": recipe_hash(settings), "data": data, "clean": not changed,
        "iterations": 64000 if preset == "paper" else 6400,
    }  # fmt: skip
    assert RunRecord(Path(), summary).counts != bool(found)


def test_a_row_that_was_edited(settings_of: Callable[..., Settings]) -> None:
    settings = settings_of(f"experiment={ROW}")
    settings = replace(settings, recipe=replace(settings.recipe, lr=0.2))
    name = f"{ROW}/cifar10_aug/seed0"
    found = objections.objections(settings, ROW, name, str(datasets.of("cifar10_aug").fingerprint))
    assert any("make architecture" in reason for reason in found)


def test_it_is_printed_before_the_first_step(command: Callable) -> None:
    small = ["model.depth=8", "recipe.length=300", "recipe.milestones=[200]", "recipe.batch=64"]
    told = [f"experiment={ROW}", "preset=tenth", "data=digits", "device=cpu", "threads=1", *small]
    ended = command("train.py", *told)
    assert ended.code == 0, ended.err
    first = ended.out.splitlines()[0]
    assert "will enter no table: its row is changed by overrides" in first
