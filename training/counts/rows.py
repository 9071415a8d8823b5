"""What every row trains, counted from the built networks: sizes, lengths, and ImageNet's layers.

python -m training.counts.rows     writes results/[tenth/]rows.csv and results/architecture.csv
"""

import gc
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from torch import nn

from data.sets import training_images
from records.command import CommandError, argument_parser, guarded
from records.files import ROOT, make_folder, write_csv
from records.names import FULL, KEPT
from training.counts.layers import describe
from training.recipe.factors import HEADS
from training.recipe.schedules import scaled, total_iterations
from training.settings.config import CONF, composed
from training.settings.identity import recipe_hash
from training.settings.network import network_size, outline
from training.settings.settings import Settings

ROWS = ("experiment", "dataset", "recipe", "iterations", "batch", "depth", "params", "macs", "hash")
LAYERS = ("experiment", "layer", "output", "structure", "params", "macs")
LISTED, DATASETS = "hydra.sweeper.params.experiment", "table.datasets"  # in a file of conf/table

Line = dict[str, object]


def experiments() -> list[str]:
    """Every row that has a config, sorted."""
    top = CONF / "experiment"
    paths = (p for p in top.rglob("*.yaml") if not p.name.startswith("_"))
    return sorted(path.relative_to(top).with_suffix("").as_posix() for path in paths)


def trained() -> list[tuple[str, str]]:
    """Every row with each data set on which a table or figure trains it, sorted.

    Raises:
        CommandError: a file in conf/table lacks its rows or data sets.
    """
    pairs = set()
    for path in (CONF / "table").rglob("*.yaml"):
        config = OmegaConf.load(path)
        rows, datasets = (OmegaConf.select(config, key) for key in (LISTED, DATASETS))
        if not rows or not datasets:
            missing = DATASETS if rows else LISTED
            raise CommandError(f"{path.relative_to(ROOT)}: {missing} is missing.")
        only = OmegaConf.select(config, "table.only") or {}
        for row in (name.strip() for name in rows.split(",")):
            pairs |= {(row, data) for data in only.get(row, datasets)}
    return sorted(pairs)


def count(pair: tuple[str, str]) -> tuple[dict[str, Line], list[Line]]:
    """Count a row on a data set: its line of rows.csv for each kept preset, and the lines of its
    layers."""
    row, data = pair
    by_preset = {
        preset: composed(f"experiment={row}", f"data={data}", f"preset={preset}") for preset in KEPT
    }
    settings = by_preset[FULL]
    described = describe(settings) if settings.model.get("images") == "imagenet" else []
    facts = {preset: facts_of(row, settings) for preset, settings in by_preset.items()}
    return facts, [{"experiment": row, **layer} for layer in described]


def facts_of(row: str, settings: Settings) -> Line:
    """A line of rows.csv."""
    epoch_size = settings.recipe.epoch_size(training_images(settings.data.source))
    recipe = scaled(settings.recipe, settings.preset.scale, epoch_size)
    return {
        "experiment": row,
        "dataset": settings.data.name,
        "recipe": recipe.name,
        "iterations": total_iterations(recipe, epoch_size),
        "batch": recipe.batch,
        "depth": depth_of(settings.model),
        "hash": recipe_hash(settings),
        **network_size(settings),
    }


def depth_of(model: dict[str, Any]) -> int:
    """The `depth` of a network or, if it takes none, its number of convolutions and linear layers.

    Layers off the longest path count, too, heads do not; a network whose paper counts otherwise
    takes a `depth`.
    """
    if "depth" in model:
        return model["depth"]
    layers = outline(model).named_modules()
    return sum(isinstance(m, nn.Conv2d | nn.Linear) for n, m in layers if not n.startswith(HEADS))


@guarded
def main() -> None:
    # Garbage collection among the thousands of modules of a network takes a sixth of the time.
    with ProcessPoolExecutor(initializer=gc.disable) as pool:
        # In chunks, because the data sets of a row share its network.
        counted = list(pool.map(count, trained(), chunksize=6))
    results = ROOT / "results"
    for preset, folder in KEPT.items():
        write(results / folder / "rows.csv", ROWS, [facts[preset] for facts, _ in counted])
    layers = [layer for _, described in counted for layer in described]
    write(results / "architecture.csv", LAYERS, layers)


def write(path: Path, columns: tuple[str, ...], lines: list[Line]) -> None:
    """Write lines as CSV and print the path."""
    make_folder(path.parent)
    write_csv(path, lines, columns)
    print(f"{path.relative_to(ROOT)}: {len(lines)} lines")


if __name__ == "__main__":
    argument_parser(__doc__).parse_args()
    sys.exit(main())
