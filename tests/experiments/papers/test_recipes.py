"""The recipe sheets: complete, and those of the committed configs."""

import re
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from experiments.papers import recipes
from records.files import ROOT
from training.settings.config import CONF, defaults_of
from training.settings.recipe import Recipe


@pytest.mark.parametrize("recipe", recipes.recipes())
def test_the_committed_sheet_is_that_of_the_config(recipe: str) -> None:
    committed = (ROOT / "results" / "recipes" / f"{recipe}.md").read_text(encoding="utf-8")
    assert committed == recipes.sheet(recipe), "run make recipes"


@pytest.mark.parametrize("recipe", recipes.recipes())
def test_a_sheet_lists_every_setting_with_its_value(recipe: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=[f"recipe={recipe}", "data=cifar10_aug"]).recipe
    listed = {name: value for name, value, _ in recipes.settings(recipes.FOLDER / f"{recipe}.yaml")}
    plain: Any = OmegaConf.to_container(config)
    untold: Any = OmegaConf.to_container(OmegaConf.create(defaults_of(Recipe)))
    assert {name: yaml.safe_load(value) for name, value in listed.items()} == {
        name: value for name, value in plain.items()
        if name != "name" and (name in listed or name not in untold or value != untold[name])
    }  # fmt: skip


def test_every_file_of_a_recipe_is_named_with_what_it_sets() -> None:
    files = [path for path in recipes.FOLDER.rglob("*.yaml") if path.parent != recipes.FOLDER]
    assert {path.parent.name for path in files} == {"dataset", "preset"}
    for path in files:
        text = recipes.sheet(path.stem.partition("_")[0])
        _, _, section = text.partition(f"`{path.relative_to(ROOT)}`)")
        section = section.partition("\n## ")[0]
        for name, value in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            (line,) = re.findall(rf"^\| {name} +\| (.*?) +\|", section, re.MULTILINE)
            assert yaml.safe_load(line) == value, (path, name)


def test_deviations_name_recipes_that_are() -> None:
    frame = recipes.pd.read_csv(recipes.PAPER / "deviations.csv")
    assert set(frame["recipe"]) <= set(recipes.recipes())
    assert not frame.isna().any().any()
