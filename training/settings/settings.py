"""The settings of a run: typed, complete, with their bounds beside them."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from records.names import at_home

# Marks a setting of the machine or of a place: it decides no number, so it is in no recipe hash,
# no name of a run and no record's config. All others are part of what a run is.
MACHINE = "of the machine"
SMALL = ("smoke", "imagenette")  # presets with a data set and a length of their own
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


Norms = tuple[Annotated[float, Field(gt=0, le=10**6)], ...]
Dropouts = tuple[Annotated[float, Field(ge=0, le=0.99)], ...]
OBJECTIVES = Literal["cross_entropy", "squared_hinge", "hints", "distillation"]
SCHEDULES = Literal["step", "plateau", "linear", "polynomial", "exponential"]


@dataclass(frozen=True, config=STRICT)
class Phase:
    """A part of a run, and what it does otherwise than its recipe.

    Attributes:
        length: in the recipe's unit.
        lr: the rate at which the schedule begins anew; else the recipe's goes on.
        schedule, momentum, objective, auxiliary: as in the recipe.
        dropout: rates of the network's dropout layers, first to last; else the network's own.
        fresh_momentum: whether the momentum is cleared where the phase begins.
    """

    length: Positive
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    schedule: SCHEDULES | None = None
    momentum: Fraction | None = None
    objective: OBJECTIVES | None = None
    auxiliary: Annotated[float, Field(ge=0, le=1000)] | None = None
    dropout: Dropouts | None = None
    fresh_momentum: bool = False


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
    init: Literal["fan_in", "fan_out", "normal", "uniform", "xavier"]
    mean: Literal["none", "pixel", "channel", "half"]
    std: Literal["none", "channel", "global", "255", "half"]
    holdout: Count
    dropout: Annotated[float, Field(ge=0, le=0.99)] = 0.0
    crop: Literal["pad", "scale", "aspect"] = "pad"
    short_to: Annotated[int, Field(ge=256, le=4096)] = 480
    colour: Literal["none", "pca", "jitter"] = "none"
    schedule: SCHEDULES = "step"
    patience: Count = 5
    statistics_batches: Count = 0
    prepare: Literal["none", "gcn", "lcn", "zca"] = "none"
    contrast: Annotated[float, Field(gt=0, le=10**6)] = 55.0
    border: Literal["zero", "reflect"] = "zero"
    translate: Annotated[int, Field(ge=0, le=4096)] = 0
    whole_batches: bool = False
    fresh_momentum: bool = False
    deviations: tuple[Annotated[float, Field(gt=0, le=10)], ...] = ()
    bias_lr: Factor = 1.0
    last_lr: Factor = 1.0
    last_decay: Factor = 1.0
    objective: OBJECTIVES = "cross_entropy"
    auxiliary: Annotated[float, Field(ge=0, le=1000)] = 0.0
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    phases: tuple[Phase, ...] = ()
    lr_length: Count = 0
    lr_power: Factor = 1.0
    momentum_end: Fraction | None = None
    momentum_length: Count = 0
    max_norms: Norms = ()
    conv_lr: Factor = 1.0
    head_lr: Factor = 1.0
    head_fall: Fraction = 0.0
    rule: Literal["sgd", "rmsprop"] = "sgd"
    auxiliary_end: Annotated[float, Field(ge=0, le=1000)] | None = None
    auxiliary_length: Count = 0
    teacher: Place = ""

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
        if self.prepare != "none" and (self.std != "none" or self.mean in ("channel", "half")):
            raise ValueError(
                f"prepare={self.prepare} normalises already; set recipe.std=none and recipe.mean "
                "to none or pixel"
            )
        if self.whole_batches and self.wrap:
            raise ValueError("whole_batches=true leaves images out; with recipe.wrap=true none are")
        if self.fresh_momentum and self.schedule != "step":
            raise ValueError("fresh_momentum=true needs recipe.schedule=step")
        if self.weight_average and self.statistics_batches:
            raise ValueError("weight_average averages statistics, too; set statistics_batches=0")
        if self.schedule == "exponential" and not self.lr_length:
            raise ValueError("schedule=exponential needs recipe.lr_length, from drop to drop")
        if (self.momentum_end is None) != (self.momentum_length == 0):
            raise ValueError(
                f"momentum_end={self.momentum_end} and recipe.momentum_length="
                f"{self.momentum_length} go together"
            )
        if (self.auxiliary_end is None) != (self.auxiliary_length == 0):
            raise ValueError(
                f"auxiliary_end={self.auxiliary_end} and recipe.auxiliary_length="
                f"{self.auxiliary_length} go together"
            )
        if self.rule == "rmsprop" and (self.nesterov or self.momentum_moves):
            raise ValueError("rule=rmsprop needs a constant recipe.momentum without nesterov")
        if self.momentum_moves and self.nesterov:
            raise ValueError("nesterov=true needs a constant recipe.momentum")
        if self.phases and self.schedule == "plateau":
            raise ValueError("phases need another recipe.schedule than plateau")
        if any(phase.schedule and phase.lr is None for phase in self.phases):
            raise ValueError("phases with a schedule need their own lr")
        if self.smoothing and self.objective != "cross_entropy":
            raise ValueError(
                f"smoothing={self.smoothing} needs recipe.objective=cross_entropy, "
                f"not {self.objective}"
            )
        return self

    @property
    def momentum_moves(self) -> bool:
        """Whether the momentum changes within a run."""
        return self.momentum_end is not None or any(p.momentum is not None for p in self.phases)

    def images_an_epoch(self, count: int) -> int:
        """How many of a set's training images an epoch takes: all that are not held out, or as many
        as fill whole batches."""
        kept = count - self.holdout
        return kept - kept % self.batch if self.whole_batches else kept


@dataclass(frozen=True, config=STRICT)
class Preset:
    """How much of a recipe is run: `stop` ends it early, in iterations, before any drop of the
    learning rate there may be; `scale` shortens its whole schedule, drops and all. One in
    `SMALL` sets a length of its own, of which phases have their share."""

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

    @model_validator(mode="after")
    def check(self) -> Self:
        """Refuse phases that are not the run."""
        total = sum(phase.length for phase in self.recipe.phases)
        if self.recipe.phases and self.preset.name not in SMALL and total != self.recipe.length:
            raise ValueError(
                f"recipe.phases add up to {total} {self.recipe.unit}s, not to recipe.length="
                f"{self.recipe.length}"
            )
        return self


@dataclass(frozen=True, config=STRICT)
class EvalOptions:
    """What eval.py is asked beside the settings of a run: see conf/eval.yaml."""

    run: Files
    weights: Files
    image: Files
    analysis: Literal["responses", "reuse"] | None
    protocol: Literal["single", "ten_crop", "multi_scale", "dense", "crops_144"]
    crop: Positive | None
    short: Positive | None
    save: bool
    json: bool
    force: bool
