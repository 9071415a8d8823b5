"""The plan of a table: which runs it needs, which are done, what the rest will take."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from experiments import published
from experiments.compile import output_folder, result_folder

# Where no record tells: multiply-adds a second of a training step (forward and backward, three
# times the forward ones) on two CPU cores, and seconds a layer and step on a GPU.
CPU_MACS_PER_SECOND = 30e9
GPU_SECONDS_PER_LAYER = 45e-6
START_SECONDS = 8.0
CHECKPOINT_BYTES_PER_PARAMETER = 8 + 4  # weights and momentum, and the file that replaces them
# The recipes' own lengths, for the estimate: images seen by one run.
IMAGES = {"paper": 64_000 * 128, "short": 2_000 * 128, "smoke": 399 * 64}


class PlanError(Exception):
    """What was asked for is no plan: an unknown table, row or number of seeds."""


@dataclass(frozen=True)
class Job:
    """One run of a plan: where it stands (`done`, `diverged`, `resumable`, `missing`), and what it
    will take, in seconds and in bytes of disk."""

    experiment: str
    dataset: str
    seed: int
    preset: str
    state: str
    seconds: float
    disk: int

    @property
    def run(self) -> str:
        return f"{self.experiment}/{self.dataset}/seed{self.seed}"

    @property
    def open(self) -> bool:
        return self.state not in ("done", "diverged")


def make_plan(
    table: str, *, preset: str, seeds: str = "paper", rows: str = "", gpu: bool = False
) -> list[Job]:
    """Every run a table needs, in its order.

    Args:
        preset: `paper`, `short` or `smoke`.
        seeds: how many runs a row, or `paper` for the paper's own number.
        rows: only these, comma-separated, by the last part of their names; empty for all.

    Raises:
        PlanError: an unknown table or row, or an impossible number of seeds.
    """
    chosen = _choose(table_rows(table, preset), rows)
    return [
        _job(experiment, seed, preset, gpu)
        for experiment in chosen
        for seed in range(_count(seeds, experiment, preset))
    ]


def table_rows(table: str, preset: str) -> list[str]:
    """The rows a table trains, from its config.

    Raises:
        PlanError: there is no such table.
    """
    config = table_config(table)
    if preset == "smoke":
        return list(config["table"]["smoke"])
    return [row.strip() for row in config["hydra"]["sweeper"]["params"]["experiment"].split(",")]


def table_config(table: str) -> dict[str, Any]:
    """The config of a table.

    Raises:
        PlanError: there is no such table.
    """
    folder = published.ROOT / "conf" / "table"
    path = folder / f"{table}.yaml"
    if not path.exists():
        names = sorted(
            p.relative_to(folder).with_suffix("").as_posix() for p in folder.rglob("*.yaml")
        )
        raise PlanError(f"Unknown table {table}; choose one of {', '.join(names)}.")
    content: Any = OmegaConf.to_container(OmegaConf.load(path))
    return dict(content)


def free_bytes(folder: Path) -> int:
    """Free disk space where a folder is, or will be."""
    while not folder.exists():
        folder = folder.absolute().parent
    return shutil.disk_usage(folder).free


def describe(jobs: Sequence[Job]) -> str:
    """The plan as text: one line a run, then what the open ones take together."""
    width = max((len(job.run) for job in jobs), default=0)
    lines = [f"  {job.run:<{width}}  {job.state:<9}  {_time(job)}".rstrip() for job in jobs]
    todo = [job for job in jobs if job.open]
    seconds, disk = sum(job.seconds for job in todo), sum(job.disk for job in todo)
    lines.append(
        f"{len(jobs) - len(todo)} of {len(jobs)} runs done; the others take about "
        f"{minutes(seconds)} and {disk / 1e6:.0f} MB of disk "
        f"({free_bytes(output_folder()) / 1e9:.0f} GB free)."
        if todo
        else f"All {len(jobs)} runs are done."
    )
    return "\n".join(lines)


def minutes(seconds: float) -> str:
    """A duration for people."""
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _choose(rows: Sequence[str], wanted: str) -> list[str]:
    if not wanted:
        return list(rows)
    names = {row.rpartition("/")[2]: row for row in rows}
    picked = [name.strip() for name in wanted.split(",") if name.strip()]
    if unknown := [name for name in picked if name not in names]:
        raise PlanError(f"ROWS={unknown[0]}: no such row; choose from {', '.join(names)}.")
    return [names[name] for name in picked]


def _count(seeds: str, experiment: str, preset: str) -> int:
    if seeds == "paper":
        return published.runs_of(experiment) if preset == "paper" else 1
    if not seeds.isdecimal() or int(seeds) < 1:
        raise PlanError(f"SEEDS={seeds} is neither `paper` nor a number of runs.")
    return int(seeds)


def _job(experiment: str, seed: int, preset: str, gpu: bool) -> Job:
    dataset = "digits" if preset == "smoke" else published.dataset(experiment)
    run = f"{experiment}/{dataset}/seed{seed}"
    working = output_folder() / "runs" / preset / run
    finished = result_folder() / "runs" / run if preset == "paper" else working
    state = _state(finished, working)
    params, macs = published.network_sizes()[experiment]
    pixels = 16 * 16 if dataset == "digits" else 32 * 32
    seconds = _estimate(experiment, preset, macs * pixels // (32 * 32), gpu)
    return Job(
        experiment, dataset, seed, preset, state, seconds, params * CHECKPOINT_BYTES_PER_PARAMETER
    )


def _state(finished: Path, working: Path) -> str:
    summary = finished / "summary.json"
    if summary.exists():
        try:
            status = json.loads(summary.read_text(encoding="utf-8"))["status"]
        except (ValueError, KeyError):
            raise PlanError(f"{summary} is damaged; restore or delete its folder.") from None
        return "diverged" if status == "diverged" else "done"
    return "resumable" if (working / "checkpoint.pt").exists() else "missing"


def _estimate(experiment: str, preset: str, macs: int, gpu: bool) -> float:
    images = IMAGES[preset]
    if gpu:
        layers = published.value(experiment, "layers") or 100.0
        return START_SECONDS + images / 128 * layers * GPU_SECONDS_PER_LAYER
    return START_SECONDS + 3 * macs * images / CPU_MACS_PER_SECOND


def _time(job: Job) -> str:
    return f"about {minutes(job.seconds)}" if job.open else ""
