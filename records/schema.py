"""The schema of summary.json: records may come from anywhere, so they are checked before use."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

LONGEST = 200  # characters of a string
MOST = 10**15  # largest plausible count or number

Preset = Literal["paper", "tenth", "short", "smoke", "imagenette"]
PRESETS: tuple[Preset, ...] = get_args(Preset)


def _plain(value: str) -> str:
    """Without control characters, which a terminal would interpret or a page could not show."""
    if not value.isprintable():
        raise ValueError("should be plain text")
    return value


Count = Annotated[int, Field(ge=0, le=MOST)]
Positive = Annotated[int, Field(ge=1, le=MOST)]
Loss = Annotated[float, Field(allow_inf_nan=False)]  # may be large long before it is infinite
Amount = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Word = Annotated[str, Field(max_length=LONGEST, pattern=r"^[A-Za-z0-9_]+$")]
Text = Annotated[str, Field(max_length=LONGEST), AfterValidator(_plain)]
SCHEMA: Any = {"strict": True, "extra": "forbid"}


class Errors(BaseModel, **SCHEMA):
    """Test errors in percent; None if not finite or not measured.

    Attributes:
        last: after the last iteration, which is what the tables compare.
        best: the lowest of all evaluations.
        at_best_val: at the lowest validation error, if images are held out.
        exported: of the 16-bit weights file, evaluated in float32.
    """

    last: Percent | None
    best: Percent | None
    at_best_val: Percent | None
    exported: Percent | None


class Summary(BaseModel, **SCHEMA):
    """What summary.json says of a run that has ended. Losses and errors are of the last iteration
    or epoch, errors in percent, None if not finite.

    Attributes:
        version: of this schema.
        run, experiment, dataset, seed, preset: which run it is; see records/names.py.
        status: `diverged` if the loss was not finite.
        iterations: done.
        params, macs: of the network, multiply-adds for one image.
        seconds: of training, evaluations excluded.
        images_per_second: while training.
        peak_memory_bytes: of the GPU, or of the process on a CPU.
        device, driver, torch: what it ran on, devices in turn if several.
        threads: of the CPU.
        precision: in effect: `fp32`, `tf32` or `bf16`.
        processes: that shared the run, each normalising over `bn_batch` images.
        runs_at_once: on that device.
        engine: that executed the steps; engine_reason: why it is not the fastest.
        deterministic: whether the same bits come out again on the same machine.
        damaged: photographs left out.
        code, commit, clean: hashes of all code that trained it, its commit, and whether it had no
            uncommitted changes (None: not known).
        data, recipe: fingerprint of the images; hash of the settings that decide the numbers.
        teacher, weights: SHA-256 of a student's teacher and of the exported weights.
        made: marks an artificial record, such as those of the tests.
        checksum: of the record's files; see records/record.py.
    """

    version: Count
    run: str
    experiment: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(/[A-Za-z0-9_]+){2}$")]
    status: Literal["finished", "diverged"]
    dataset: Word
    seed: Count
    preset: Preset
    iterations: Count
    params: Count
    macs: Count | None = None
    test_error: Errors
    train_error: Percent | None
    test_loss: Loss | None = None
    train_loss: Loss | None = None
    seconds: Amount | None = None
    images_per_second: Amount | None = None
    peak_memory_bytes: Count | None = None
    device: Text | None = None
    driver: Text | None = None
    threads: Count | None = None
    torch: Text | None = None
    precision: Text | None = None
    processes: Positive | None = None
    bn_batch: Positive | None = None
    runs_at_once: Positive | None = None
    engine: Text | None = None
    engine_reason: str | None = None
    deterministic: bool | None = None
    damaged: Count | None = None
    code: list[Text] | None = None
    commit: Text | None = None
    clean: bool | None = None
    data: Word
    recipe: Word
    teacher: Text | None = None
    weights: Text | None = None
    made: Text | None = None
    checksum: Text | None = None

    @model_validator(mode="after")
    def consistent(self) -> Self:
        if not re.fullmatch(
            rf"{re.escape(self.experiment)}(\+[\w.=-]+)*/{self.dataset}/seed{self.seed}",
            self.run, re.ASCII,
        ):  # fmt: skip
            raise ValueError(
                f"the run is not named {self.experiment}/{self.dataset}/seed{self.seed}"
            )
        if self.status == "finished" and self.test_error.last is None:
            raise ValueError("it has no test error")
        if self.device is not None and self.seconds is None:
            raise ValueError("it has no seconds")
        return self


def mistake(summary: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a summary, or None if it is valid."""
    try:
        Summary.model_validate(summary)
    except ValidationError as error:
        first = error.errors()[0]
        place, reason = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        if first["type"] == "missing":
            reason = "it is missing"
        elif first["type"] == "extra_forbidden":
            reason = "an unknown key"
        return ascii(f"{place}: {reason}" if place else reason)[1:-1][:LONGEST]
    return None
