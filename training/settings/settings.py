"""The settings of a run: typed, complete, each with its bounds."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from training.settings.recipe import Recipe
from training.settings.types import AS_TEXT, MACHINE, MOST, STRICT, Files, Folder, Name, Positive

DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
SMALL = ("smoke", "imagenette")  # presets with a data set and a length of their own


@dataclass(frozen=True, config=STRICT)
class Data:
    """Which images, and how they are augmented: see conf/data."""

    name: Name
    source: Annotated[str, AS_TEXT]
    classes: Annotated[int, Field(ge=1, le=100_000)]
    size: Annotated[int, Field(ge=1, le=4096)]
    pad: Annotated[int, Field(ge=0, le=4096)]
    flip: bool
    folder: Folder


@dataclass(frozen=True, config=STRICT)
class Preset:
    """How much of a recipe to run: `stop` cuts it after so many iterations, without moving the
    learning-rate drops; `scale` shortens the whole schedule, drops included. A preset in `SMALL`
    sets its own length, which phases share in proportion."""

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
    """Everything that defines a run, and where it is written."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]  # torch's generator on a CPU reads no more bits
    device: Annotated[str, MACHINE]
    precision: Literal["tf32", "fp32", "bf16"]
    engine: Annotated[Literal["auto", "eager", "captured", "fused"], MACHINE]
    deterministic: Annotated[bool, MACHINE]
    threads: Annotated[Annotated[int, Field(ge=1, le=MOST)] | None, MACHINE]
    workers: Annotated[Annotated[int, Field(ge=0, le=MOST)] | None, MACHINE]
    runs_at_once: Annotated[Positive, MACHINE]
    checkpoint_seconds: Annotated[float, Field(ge=0), MACHINE]
    output_dir: Folder
    results_dir: Folder
    data: Data
    model: dict[str, Any]
    recipe: Recipe
    preset: Preset
    logger: Annotated[Logger, MACHINE]
    damaged: Literal["stop", "skip"] = "stop"

    @model_validator(mode="after")
    def check(self) -> Self:
        """Reject unknown devices, data under another set's name, and phases that do not add up."""
        if not DEVICE.fullmatch(self.device):
            raise ValueError(f"device={self.device} is unknown; choose auto, cpu, cuda or cuda:1")
        name, source = self.data.name, self.data.source
        if name != source and not name.startswith(f"{source}_"):
            raise ValueError(
                f"data.name={name} is another data set than data.source={source}; images of your "
                f"own are data=own data.name={name} (an array file) or data.source={name} (folders)"
            )
        total = sum(phase.length for phase in self.recipe.phases)
        if self.recipe.phases and self.preset.name not in SMALL and total != self.recipe.length:
            raise ValueError(
                f"recipe.phases add up to {total} {self.recipe.unit}s, not to recipe.length="
                f"{self.recipe.length}"
            )
        return self


@dataclass(frozen=True, config=STRICT)
class EvalOptions:
    """The options of eval.py besides the settings of a run: see conf/eval.yaml."""

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
