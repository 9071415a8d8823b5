"""One run of a plan: its name, what it trains, where it is kept."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from experiments.papers import published
from experiments.papers.conf import PlanError
from experiments.papers.rows import RowFacts, all_rows, facts
from records.files import ROOT
from records.names import (
    FULL,
    KEPT,
    WEIGHTS,
    outputs,
    record_folder,
    results,
    run_name,
    working_folder,
)  # fmt: skip

# The small data set of a preset that has one, and those that it stands in for.
STAND_INS = {"smoke": "digits", "imagenette": "imagenette"}
STOOD_IN_FOR = {"digits": ("cifar10_aug", "cifar10"), "imagenette": ("imagenet",)}
IMAGENETTE = 9_469  # training images of the full data set


@dataclass(frozen=True)
class Job:
    """One run. `overrides` change its row, to a small twin or another precision."""

    experiment: str
    dataset: str
    seed: int
    preset: str
    overrides: tuple[str, ...] = ()

    @property
    def run(self) -> str:
        """The name under which train.py keeps it."""
        return run_name(self.experiment, self.overrides, self.dataset, self.seed)

    @property
    def working(self) -> Path:
        """Where it is trained."""
        return working_folder(outputs(), self.preset, self.run)

    @property
    def finished(self) -> Path:
        """Where its record goes."""
        return record_folder(outputs(), results(), self.preset, self.run)

    @property
    def facts(self) -> RowFacts:
        """What its row trains; for a small stand-in data set, as counted on the original.

        Raises:
            PlanError: there is no such row, or rows.csv does not have it.
        """
        preset = self.preset if self.preset in KEPT else FULL
        row = facts(self.experiment, self.dataset, preset)
        for dataset in STOOD_IN_FOR.get(self.dataset, ()):
            row = row or facts(self.experiment, dataset)
        if row is None:
            raise PlanError(_unplanned(self))
        return row

    @property
    def weights(self) -> Path:
        """Where its weights lie once it has finished, whatever their size."""
        return self.working / WEIGHTS

    @property
    def teacher(self) -> "Job | None":
        """The run that a student learns from, if its recipe names one: of the same data set, seed
        and preset."""
        row = _teacher(self.facts.recipe)
        return None if row is None else Job(row, self.dataset, self.seed, self.preset)

    @property
    def iterations(self) -> int:
        """Total iterations."""
        return _length(self)[0]

    @property
    def batch(self) -> int:
        """Images per iteration."""
        return _length(self)[1]

    @property
    def arguments(self) -> list[str]:
        """The arguments for train.py."""
        arguments = [f"experiment={self.experiment}", f"seed={self.seed}", f"preset={self.preset}"]
        data = [] if self.preset in STAND_INS else [f"data={self.dataset}"]
        return [*arguments, *self.overrides, *data]


def parse_run(name: str, preset: str = "paper") -> Job:
    """Parse a run's name, `<paper>/<table>/<row>[+override...]/<dataset>/seed<k>`, into a job.

    A preset with a data set of its own replaces the one in the name.

    Raises:
        PlanError: this is not the name of a run, or there is no such row on that data set.
    """
    match = re.fullmatch(r"([^+]+)((?:\+[\w.]+=[\w.-]+)*)/([^/+]+)/seed(\d+)", name)
    if match is None:
        raise PlanError(
            f"{name} is not a run; runs are named <paper>/<table>/<row>/<dataset>/seed<k>, "
            "such as he2015_residual/table6/resnet20/cifar10_aug/seed0."
        )
    experiment, overrides, dataset, seed = match.groups()
    dataset = STAND_INS.get(preset, dataset)
    job = Job(experiment, dataset, int(seed), preset, tuple(overrides.split("+")[1:]))
    _ = job.facts  # raises if there is no such row
    return job


def _unplanned(job: Job) -> str:
    """Why a job's row is not in results/rows.csv, and the remedy."""
    known = all_rows()
    if not (ROOT / "conf" / "experiment" / f"{job.experiment}.yaml").is_file():
        return published.unknown("row", job.experiment, {row for row, _ in known})
    others = ", ".join(data for row, data in known if row == job.experiment)
    return (
        f"{job.experiment} on {job.dataset} is not in results/rows.csv"
        f"{f' (on {others} it is)' * bool(others)}.\nOnce a table in conf/table lists it, run "
        "`make architecture`."
    )


@cache
def _teacher(recipe: str) -> str | None:
    """The row whose run `recipe.teacher` points to, or None if the recipe has no teacher."""
    config = OmegaConf.load(ROOT / "conf" / "recipe" / f"{recipe}.yaml")
    plain: Any = OmegaConf.to_container(config)  # as written, with ${...} unresolved
    match = re.search(r"/([^/]+/[^/]+/[^/]+)/\$\{data\.name\}/", plain.get("teacher", ""))
    return match[1] if match else None


def _length(job: Job) -> tuple[int, int]:
    """Iterations and batch."""
    if job.preset in KEPT:
        return job.facts.iterations, job.facts.batch
    config: Any = OmegaConf.load(ROOT / "conf" / "preset" / f"{job.preset}.yaml")
    if job.preset == "smoke":
        return config.recipe.length, config.recipe.batch
    if job.preset == "imagenette":
        return config.recipe.length * -(-IMAGENETTE // config.recipe.batch), config.recipe.batch
    return min(job.facts.iterations, config.stop), job.facts.batch
