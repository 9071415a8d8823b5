"""A run that cannot enter a table says so before it starts, by the rules that decide afterwards."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.papers import datasets
from experiments.verdicts.records import RunRecord
from records.names import run_name
from records.objections import objections
from training.runs.counted import counted
from training.runs.named import NamedRun
from training.settings.config import named
from training.settings.settings import Settings

ROW = "he2015_residual/table6/resnet20"


@pytest.mark.parametrize("preset", ["paper", "tenth"])
@pytest.mark.parametrize(
    ("overrides", "seen", "said"),
    [
        ([], {}, ""),
        (["seed=3", "device=cpu", "threads=1"], {}, ""),
        (["recipe.lr=0.2"], {}, "changed by overrides"),
        (["data=svhn"], {}, "not trained on this data set by any table"),
        ([], {"data": "0123456789abcdef"}, "its data differ (0123456789abcdef"),
        ([], {"clean": False}, "not committed"),
        ([], {"clean": None}, ""),
    ],
    ids=["row", "machine", "overrides", "data set", "other data", "uncommitted", "no git"],
)
def test_it_is_known_before_the_start(
    preset: str, overrides: list[str], seen: dict[str, object], said: str,
    settings_of: Callable[..., Settings],
) -> None:  # fmt: skip
    settings = settings_of(f"experiment={ROW}", f"preset={preset}", *overrides)
    run = NamedRun(
        settings, ROW, run_name(ROW, named(overrides), settings.data.name, settings.seed)
    )
    fingerprint = datasets.of(settings.data.name).fingerprint
    known = run.known() | {"data": fingerprint, "clean": True} | seen
    found = objections(known, *counted(run))
    assert said in "; ".join(found) and bool(found) == bool(said)
    ended = known | {"status": "finished", "iterations": 64000 if preset == "paper" else 6400}
    assert RunRecord(Path(), ended).objections == found


def test_a_row_that_was_edited(settings_of: Callable[..., Settings]) -> None:
    settings = settings_of(f"experiment={ROW}")
    settings = replace(settings, recipe=replace(settings.recipe, lr=0.2))
    run = NamedRun(settings, ROW, f"{ROW}/cifar10_aug/seed0")
    known = run.known() | {"data": datasets.of("cifar10_aug").fingerprint}
    found = objections(known, *counted(run))
    assert any("make architecture" in reason for reason in found)


def test_it_is_printed_before_the_first_step(command: Callable) -> None:
    small = ["model.depth=8", "recipe.length=300", "recipe.milestones=[200]", "recipe.batch=64"]
    given = [f"experiment={ROW}", "preset=tenth", "data=digits", "device=cpu", "threads=1", *small]
    ended = command("train.py", *given)
    assert ended.code == 0, ended.err
    first = ended.out.splitlines()[0]
    assert "will enter no table: its row was changed by overrides" in first
