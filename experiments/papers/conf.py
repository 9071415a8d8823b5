"""What a table or figure trains, from its file in conf/table."""

from dataclasses import field
from functools import cache
from typing import Any

import yaml
from omegaconf import OmegaConf
from pydantic import ValidationError
from pydantic.dataclasses import dataclass

from experiments.papers import architecture, published
from experiments.papers.schema import CELLS, Experiment, Text, Word
from records.command import CommandError
from records.files import ROOT

FOLDER = ROOT / "conf" / "table"


class PlanError(CommandError):
    """A plan is impossible: an unknown table, row or run, or an invalid number of seeds."""


@dataclass(frozen=True, config=CELLS)
class TableConfig:
    """What conf/table/<name>.yaml says of a table or figure.

    Attributes:
        rows: the experiments it trains, on each of `datasets`, or on those that `only` names.
        figures: drawn with it.
        smoke, smoke_overrides: the rows of its small version, and how they are made small.
    """

    name: Text
    title: Text
    rows: tuple[Experiment, ...]
    datasets: tuple[Word, ...]
    only: dict[Experiment, tuple[Word, ...]] = field(default_factory=dict)
    figures: tuple[Text, ...] = ()
    smoke: tuple[Experiment, ...] = ()
    smoke_overrides: tuple[Text, ...] = ()


@cache
def planned() -> list[str]:
    """The tables and figures that train rows of their own."""
    return sorted(
        path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.yaml")
    )


@cache
def table_config(table: str) -> TableConfig:
    """The config of a table.

    Raises:
        PlanError: there is no such table, or its file has a mistake.
    """
    if table not in planned():
        if table in [*published.tables(), *architecture.tables()]:
            raise PlanError(
                f"{table} has nothing to train; `make table TABLE={table}` compiles it from quoted "
                "or counted numbers."
            )
        raise PlanError(published.unknown("table", table, planned()))
    path = FOLDER / f"{table}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        swept = content["hydra"]["sweeper"]["params"]["experiment"].split(",")
        return TableConfig(**content["table"], rows=tuple(map(str.strip, swept)))
    except ValidationError as error:
        first = error.errors()[0]
        given = "" if first["type"] == "missing" else f" is {ascii(first['input'])[:80]}"
        mistake = f"{'.'.join(map(str, first['loc']))}{given}: {first['msg']}"
    except (yaml.YAMLError, UnicodeError, OSError) as error:
        mistake = " ".join(str(error).split())
    except (KeyError, TypeError, AttributeError):
        mistake = "it needs hydra.sweeper.params.experiment and table, as other files there have"
    raise PlanError(f"{path} has a mistake: {mistake}.")


def table_rows(table: str, preset: str = "paper") -> list[tuple[str, str]]:
    """The rows a table trains, each with its data set.

    Raises:
        PlanError: there is no such table, or it has no version for this preset.
    """
    config = table_config(table)
    if preset == "smoke":
        if not config.smoke:
            raise PlanError(f"{table} has no small version; PRESET=paper plans the full recipe.")
        return [(row, "digits") for row in config.smoke]
    rows = [(row, data) for row in config.rows for data in config.only.get(row, config.datasets)]
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
