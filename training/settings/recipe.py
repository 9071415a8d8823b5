"""How a run is trained: a paper's recipe, and its phases."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from training.settings.types import (
    AS_TEXT,
    STRICT,
    Count,
    Factor,
    Fraction,
    Place,
    Positive,
    Rate,
    Weight,
)

Norms = tuple[Annotated[float, Field(gt=0, le=10**6)], ...]
Dropouts = tuple[Annotated[float, Field(ge=0, le=0.99)], ...]
Objective = Literal["cross_entropy", "squared_hinge", "hints", "distillation"]
Schedule = Literal["step", "plateau", "linear", "polynomial", "exponential"]


@dataclass(frozen=True, config=STRICT)
class Phase:
    """A part of a run, and where it departs from the recipe.

    Attributes:
        length: in the recipe's unit.
        lr: the learning rate from which the schedule restarts; None continues the recipe's.
        schedule, momentum, objective, auxiliary: as in the recipe.
        dropout: rates of the network's dropout layers, first to last; None for the network's own.
        fresh_momentum: whether momentum is cleared when the phase begins.
    """

    length: Positive
    lr: Rate | None = None
    schedule: Schedule | None = None
    momentum: Fraction | None = None
    objective: Objective | None = None
    auxiliary: Weight | None = None
    dropout: Dropouts | None = None
    fresh_momentum: bool = False


@dataclass(frozen=True, config=STRICT)
class Recipe:
    """How a paper trains: see conf/recipe for the meaning and source of each value."""

    name: str
    unit: Literal["iteration", "epoch"]
    length: Positive
    milestones: list[Positive]
    lr: Rate
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
    std: Annotated[Literal["none", "channel", "global", "255", "half"], AS_TEXT]
    holdout: Count
    dropout: Annotated[float, Field(ge=0, le=0.99)] = 0.0
    crop: Literal["pad", "scale", "aspect"] = "pad"
    short_to: Annotated[int, Field(ge=256, le=4096)] = 480
    colour: Literal["none", "pca", "jitter"] = "none"
    schedule: Schedule = "step"
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
    objective: Objective = "cross_entropy"
    auxiliary: Weight = 0.0
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
    epsilon: Weight = 0.0
    step_momentum: Fraction = 0.0
    auxiliary_end: Weight | None = None
    auxiliary_length: Count = 0
    teacher: Place = ""

    @model_validator(mode="after")
    def check(self) -> Self:
        """Reject values that contradict each other."""
        mistakes = (*self._in_schedule(), *self._in_optimizer(), *self._in_images())
        if mistakes:
            raise ValueError(mistakes[0])
        return self

    def _in_schedule(self) -> Iterator[str]:
        if sorted(set(self.milestones)) != self.milestones:
            yield f"milestones={self.milestones} must rise"
        if self.milestones and self.milestones[-1] >= self.length:
            yield (
                f"milestones={self.milestones} must be below recipe.length={self.length}; set "
                "recipe.milestones, too"
            )
        if self.fresh_momentum and self.schedule != "step":
            yield "fresh_momentum=true needs recipe.schedule=step"
        if self.schedule == "exponential" and not self.lr_length:
            yield "schedule=exponential needs recipe.lr_length, from drop to drop"
        if self.phases and self.schedule == "plateau":
            yield "phases cannot be combined with recipe.schedule=plateau"
        if any(phase.schedule and phase.lr is None for phase in self.phases):
            yield "phases with a schedule need their own lr"
        for ramp in ("momentum", "auxiliary"):
            end, length = getattr(self, f"{ramp}_end"), getattr(self, f"{ramp}_length")
            if (end is None) != (length == 0):
                yield f"{ramp}_end={end} and recipe.{ramp}_length={length} go together"

    def _in_optimizer(self) -> Iterator[str]:
        if self.nesterov and self.momentum == 0:
            yield "nesterov=true needs recipe.momentum above 0"
        if self.rule == "rmsprop" and (self.nesterov or self.momentum_moves):
            yield "rule=rmsprop needs a constant recipe.momentum without nesterov"
        if self.rule == "sgd" and (self.epsilon or self.step_momentum):
            yield "epsilon and recipe.step_momentum are for rule=rmsprop"
        if self.momentum_moves and self.nesterov:
            yield "nesterov=true needs a constant recipe.momentum"
        if self.weight_average and self.statistics_batches:
            yield "weight_average averages statistics, too; set statistics_batches=0"
        if self.smoothing and self.objective != "cross_entropy":
            yield (
                f"smoothing={self.smoothing} needs recipe.objective=cross_entropy, "
                f"not {self.objective}"
            )

    def _in_images(self) -> Iterator[str]:
        if self.prepare != "none" and (self.std != "none" or self.mean in ("channel", "half")):
            yield (
                f"prepare={self.prepare} normalises already; set recipe.std=none and recipe.mean "
                "to none or pixel"
            )
        if self.prepare == "zca" and self.holdout:
            yield "prepare=zca whitens by all training images; set recipe.holdout=0"
        if self.whole_batches and self.wrap:
            yield "whole_batches=true leaves images out; with recipe.wrap=true none are"

    @property
    def momentum_moves(self) -> bool:
        """Whether the momentum changes within a run."""
        return self.momentum_end is not None or any(p.momentum is not None for p in self.phases)

    def epoch_size(self, count: int) -> int:
        """Images in an epoch, of `count` training images: all that are not held out, or as many of
        them as fill whole batches."""
        kept = count - self.holdout
        return kept - kept % self.batch if self.whole_batches else kept
