"""What a table or figure trains, from its file in conf/table."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from omegaconf import OmegaConf

from experiments.papers import architecture, published
from records.command import CommandError
from records.files import ROOT

FOLDER = ROOT / "conf" / "table"


class PlanError(CommandError):
    """A plan is impossible: an unknown table, row or run, or an invalid number of seeds."""


def is_planned(table: str) -> bool:
    """Whether a table or figure trains rows of its own."""
    return (FOLDER / f"{table}.yaml").exists()


@cache
def table_config(table: str) -> Mapping[str, Any]:
    """The config of a table; cached, so not to be modified.

    Raises:
        PlanError: there is no such table.
    """
    if not is_planned(table) and table in [*published.tables(), *architecture.tables()]:
        raise PlanError(
            f"{table} has nothing to train; `make table TABLE={table}` compiles it from quoted or "
            "counted numbers."
        )
    if not is_planned(table):
        paths = sorted(FOLDER.rglob("*.yaml"))
        names = [path.relative_to(FOLDER).with_suffix("").as_posix() for path in paths]
        raise PlanError(published.unknown("table", table, names))
    content: Any = OmegaConf.to_container(OmegaConf.load(FOLDER / f"{table}.yaml"))
    return dict(content)


def table_rows(table: str, preset: str = "paper") -> list[tuple[str, str]]:
    """The rows a table trains, each with its data set.

    Raises:
        PlanError: there is no such table, or it has no version for this preset.
    """
    config = table_config(table)
    if preset == "smoke":
        if not (small := config["table"].get("smoke")):
            raise PlanError(f"{table} has no small version; PRESET=paper plans the full recipe.")
        return [(row, "digits") for row in small]
    names = config["hydra"]["sweeper"]["params"]["experiment"].split(",")
    datasets, only = config["table"]["datasets"], config["table"].get("only", {})
    rows = [(row, data) for row in map(str.strip, names) for data in only.get(row, datasets)]
    if preset != "imagenette":
        return rows
    if not any(data == "imagenet" for _, data in rows):
        raise PlanError(f"{table} has no rows on ImageNet, which PRESET=imagenette is for.")
    return [(row, preset) for row, data in rows if data == "imagenet"]


@cache
def preset_scale(preset: str) -> float:
    """The share of a recipe's schedule that a preset runs."""
    config: Any = OmegaConf.load(ROOT / "conf" / "preset" / f"{preset}.yaml")
    return float(config.get("scale", 1.0))
