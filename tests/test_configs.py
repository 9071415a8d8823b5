"""Every row, table and recipe in conf/ against the papers and against each other."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from training.architecture import experiments
from training.entry import CONF
from training.network import network_size
from training.settings import Settings

RESULTS = CONF.parent / "results"
ROWS = experiments()
TABLES = sorted(path.relative_to(CONF / "table").with_suffix("").as_posix()
                for path in (CONF / "table").rglob("*.yaml"))  # fmt: skip


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def swept(table: str) -> list[str]:
    config = OmegaConf.load(CONF / "table" / f"{table}.yaml")
    return [row.strip() for row in config.hydra.sweeper.params.experiment.split(",")]


@pytest.mark.parametrize("row", ROWS)
def test_every_row_composes_and_its_network_has_the_listed_size(
    row: str, settings_of: Callable[..., Settings]
) -> None:
    settings = settings_of(f"experiment={row}")
    assert settings.preset.name == "paper" and settings.preset.stop is None
    listed = {line["experiment"]: line for line in read(RESULTS / "architecture.csv")}[row]
    size = network_size(settings)
    assert (size["params"], size["macs"]) == (int(listed["params"]), int(listed["macs"]))
    assert settings.data.name == listed["dataset"]


@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_published(row: str) -> None:
    paper, *_ = row.split("/")
    published = {line["experiment"] for line in read(RESULTS / "paper" / f"{paper}.csv")}
    assert row in published


@pytest.mark.parametrize("row", ROWS)
def test_parameters_agree_with_the_paper_where_it_prints_them(row: str) -> None:
    paper, *_ = row.split("/")
    printed = [line["value"] for line in read(RESULTS / "paper" / f"{paper}.csv")
               if line["experiment"] == row and line["metric"] == "params_millions"]  # fmt: skip
    counts = {line["experiment"]: line["params"] for line in read(RESULTS / "architecture.csv")}
    for text in printed:
        decimals = len(text.partition(".")[2])
        assert round(int(counts[row]) / 1e6, decimals) == float(text)


@pytest.mark.parametrize("table", TABLES)
def test_every_table_sweeps_rows_that_exist(table: str) -> None:
    assert set(swept(table)) <= set(ROWS)
    own = {row for row in ROWS if row.rpartition("/")[0] == table}
    assert own <= set(swept(table)), "a row file of this table is not in its sweep"


@pytest.mark.parametrize("table", TABLES)
def test_every_table_composes_as_a_multirun(table: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=[f"table={table}"], return_hydra_config=True)
    assert config.hydra.mode.name == "MULTIRUN"
    assert config.table.name == table


def test_he2015_is_the_recipe_of_section_4_2(settings_of: Callable[..., Settings]) -> None:
    settings = settings_of("experiment=he2015_residual/table6/resnet110")
    recipe, data = settings.recipe, settings.data
    assert (recipe.unit, recipe.length, recipe.milestones) == (
        "iteration",
        64_000,
        [32_000, 48_000],
    )
    assert (recipe.lr, recipe.lr_factor, recipe.batch) == (0.1, 0.1, 128)
    assert (recipe.warmup_lr, recipe.warmup_iterations) == (0.01, 400)
    assert (recipe.momentum, recipe.nesterov, recipe.weight_decay) == (0.9, False, 1e-4)
    assert (recipe.decay, recipe.mean, recipe.std, recipe.holdout) == (
        "weights",
        "pixel",
        "none",
        0,
    )
    assert (data.source, data.pad, data.flip) == ("cifar10", 4, True)


def test_the_110_and_1202_layer_resnets_warm_up(settings_of: Callable[..., Settings]) -> None:
    warm = [row for row in ROWS if settings_of(f"experiment={row}").recipe.warmup_iterations]
    assert warm == [f"he2015_residual/table6/resnet{depth}" for depth in (110, 1202)]


def test_fair_is_the_recipe_of_fb_resnet_torch(settings_of: Callable[..., Settings]) -> None:
    recipe = settings_of("experiment=he2015_residual/table6/resnet20", "recipe=fair").recipe
    assert (recipe.unit, recipe.length, recipe.milestones) == ("epoch", 164, [80, 121])
    assert (recipe.nesterov, recipe.decay, recipe.init) == (True, "all", "fan_out")
    assert (recipe.mean, recipe.std, recipe.wrap) == ("channel", "channel", False)


def test_short_keeps_all_but_the_end(settings_of: Callable[..., Settings]) -> None:
    row = "experiment=he2015_residual/table6/resnet20"
    short, paper = settings_of(row, "preset=short"), settings_of(row)
    assert short.preset.stop == 2000
    assert (short.recipe, short.model, short.data) == (paper.recipe, paper.model, paper.data)


@pytest.mark.parametrize("path", sorted((CONF / "recipe").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_scalar_of_a_recipe_has_a_source(path: Path) -> None:
    plain = {"name", "std", "warmup_lr"}  # a label, and what another line switches off
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#") and line.split(":")[0] not in plain:
            assert "#" in line, f"no source: {line}"
