"""The settings of a run: typed and complete."""

from dataclasses import dataclass
from typing import Any


class ConfigError(Exception):
    """A setting is unknown, of a wrong type or impossible; the message names it and the remedy."""


@dataclass(frozen=True)
class Data:
    """Which images, and how they are augmented: see conf/data."""

    name: str
    source: str
    classes: int
    size: int
    pad: int
    flip: bool
    folder: str


@dataclass(frozen=True)
class Recipe:
    """How a paper trains: see conf/recipe for the meaning and source of each value."""

    name: str
    unit: str
    length: int
    milestones: list[int]
    lr: float
    lr_factor: float
    warmup_lr: float
    warmup_iterations: int
    batch: int
    wrap: bool
    momentum: float
    nesterov: bool
    weight_decay: float
    decay: str
    init: str
    mean: str
    std: str
    holdout: int
    dropout: float = 0.0
    crop: str = "pad"
    colour: str = "none"
    schedule: str = "step"
    patience: int = 5
    statistics_batches: int = 0


@dataclass(frozen=True)
class Preset:
    """How much of a recipe is run; `stop` ends it early, in iterations."""

    name: str
    stop: int | None


@dataclass(frozen=True)
class Logger:
    """Where metrics are mirrored."""

    name: str
    project: str | None = None
    entity: str | None = None


@dataclass(frozen=True)
class Settings:
    """Everything that decides a run, and where it is written."""

    seed: int
    device: str
    precision: str
    engine: str
    deterministic: bool
    threads: int | None
    workers: int | None
    damaged: str
    decoder: str
    checkpoint_seconds: float
    output_dir: str
    results_dir: str
    data: Data
    model: dict[str, Any]
    recipe: Recipe
    preset: Preset
    logger: Logger
