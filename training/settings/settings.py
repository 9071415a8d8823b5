"""The settings of a run: typed, complete, with their bounds beside them."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from records.names import at_home

# Marks a setting of the machine or of a place: it decides no number, so it is in no recipe hash,
# no name of a run and no record's config. All others are part of what a run is.
MACHINE = "of the machine"
STRICT = ConfigDict(strict=True, extra="forbid")


def _as_list(value: Any) -> Any:
    """One file is a list of one; ~ is one's home."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list):
        return values
    return [at_home(x) if isinstance(x, str) else x for x in values]


# Bounds above all that anybody trains: no mistyped number, nor a stranger's, may take all memory.
Count = Annotated[int, Field(ge=0, le=10**12)]
Positive = Annotated[int, Field(ge=1, le=10**12)]
MOST = 1024  # threads or processes of a machine; beyond what it has, libraries crash
Fraction = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(gt=0, le=1000)]
Files = Annotated[list[str], Field(min_length=1), BeforeValidator(_as_list)] | None
Place = Annotated[str, AfterValidator(at_home), MACHINE]  # a path; ~ is one's home
Name = Annotated[str, Field(pattern=r"^\w+$")]


class ConfigError(Exception):
    """A setting is unknown, of a wrong type or impossible; the message names it and the remedy."""


@dataclass(frozen=True, config=STRICT)
class Data:
    """Which images, and how they are augmented: see conf/data."""

    name: Name
    source: str
    classes: Annotated[int, Field(ge=1, le=100_000)]
    size: Annotated[int, Field(ge=1, le=4096)]
    pad: Annotated[int, Field(ge=0, le=4096)]
    flip: bool
    folder: Place


@dataclass(frozen=True, config=STRICT)
class Recipe:
    """How a paper trains: see conf/recipe for the meaning and source of each value."""

    name: str
    unit: Literal["iteration", "epoch"]
    length: Positive
    milestones: list[Positive]
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    lr_factor: Fraction
    warmup_lr: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    warmup_iterations: Count
    batch: Annotated[int, Field(ge=2, le=10**6)]
    wrap: bool
    momentum: Fraction
    nesterov: bool
    weight_decay: Fraction
    decay: Literal["weights", "all"]
    init: Literal["fan_in", "fan_out", "normal", "xavier"]
    mean: Literal["none", "pixel", "channel"]
    std: Literal["none", "channel", "global", "255"]
    holdout: Count
    dropout: Annotated[float, Field(ge=0, le=0.99)] = 0.0
    crop: Literal["pad", "scale", "aspect"] = "pad"
    colour: Literal["none", "pca", "jitter"] = "none"
    schedule: Literal["step", "plateau"] = "step"
    patience: Count = 5
    statistics_batches: Count = 0
    prepare: Literal["none", "gcn", "zca"] = "none"
    contrast: Annotated[float, Field(gt=0, le=10**6)] = 55.0
    border: Literal["zero", "reflect"] = "zero"
    translate: Annotated[int, Field(ge=0, le=4096)] = 0
    whole_batches: bool = False
    fresh_momentum: bool = False
    deviations: tuple[Annotated[float, Field(gt=0, le=10)], ...] = ()
    bias_lr: Factor = 1.0
    last_lr: Factor = 1.0
    last_decay: Factor = 1.0

    @model_validator(mode="after")
    def check(self) -> Self:
        """Refuse values that do not go together."""
        if sorted(set(self.milestones)) != self.milestones:
            raise ValueError(f"milestones={self.milestones} must rise")
        if self.milestones and self.milestones[-1] >= self.length:
            raise ValueError(
                f"milestones={self.milestones} must end before recipe.length={self.length}"
            )
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=true needs recipe.momentum above 0")
        if self.prepare != "none" and (self.std != "none" or self.mean == "channel"):
            raise ValueError(
                f"prepare={self.prepare} normalises already; set recipe.std=none and recipe.mean "
                "to none or pixel"
            )
        if self.whole_batches and self.wrap:
            raise ValueError("whole_batches=true leaves images out; with recipe.wrap=true none are")
        if self.fresh_momentum and self.schedule == "plateau":
            raise ValueError("fresh_momentum=true needs recipe.schedule=step")
        return self

    def images_an_epoch(self, count: int) -> int:
        """How many of a set's training images an epoch takes: all that are not held out, or as many
        as fill whole batches."""
        kept = count - self.holdout
        return kept - kept % self.batch if self.whole_batches else kept


@dataclass(frozen=True, config=STRICT)
class Preset:
    """How much of a recipe is run: `stop` ends it early, in iterations, before any drop of the
    learning rate there may be; `scale` shortens its whole schedule, drops and all."""

    name: Name
    stop: Positive | None
    scale: Annotated[float, Field(gt=0, le=1)] = 1.0


@dataclass(frozen=True, config=STRICT)
class Logger:
    """Where metrics are mirrored."""

    name: Literal["none", "wandb"]
    project: str | None = None
    entity: str | None = None


@dataclass(frozen=True, config=STRICT)
class Settings:
    """Everything that decides a run, and where it is written."""

    seed: Annotated[int, Field(ge=0, lt=2**63)]
    device: Annotated[str, MACHINE]
    precision: Literal["tf32", "fp32", "bf16"]
    engine: Annotated[Literal["auto", "eager", "captured", "fused"], MACHINE]
    deterministic: Annotated[bool, MACHINE]
    threads: Annotated[Annotated[int, Field(ge=1, le=MOST)] | None, MACHINE]
    workers: Annotated[Annotated[int, Field(ge=0, le=MOST)] | None, MACHINE]
    runs_at_once: Annotated[Positive, MACHINE]
    checkpoint_seconds: Annotated[float, Field(ge=0), MACHINE]
    output_dir: Place
    results_dir: Place
    data: Data
    model: dict[str, Any]
    recipe: Recipe
    preset: Preset
    logger: Annotated[Logger, MACHINE]
    damaged: Literal["stop", "skip"] = "stop"


@dataclass(frozen=True, config=STRICT)
class EvalOptions:
    """What eval.py is asked beside the settings of a run: see conf/eval.yaml."""

    run: Files
    weights: Files
    image: Files
    analysis: Literal["responses", "reuse"] | None
    protocol: Literal["single", "ten_crop", "multi_scale"]
    crop: Positive | None
    short: Positive | None
    save: bool
    json: bool
    force: bool
