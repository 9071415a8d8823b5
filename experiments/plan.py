"""The plan of a table: which runs it needs, which are done, what the rest will take."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from experiments import architecture, published
from experiments.folders import output_folder, runs_folder
from experiments.rows import RowFacts, facts

# A training step takes three times the multiply-adds of a forward pass. On two CPU cores they are
# done at this rate; on a GPU a step takes some time a layer, and some a multiply-add.
CPU_MACS_PER_SECOND = 60e9
GPU_SECONDS_PER_LAYER, GPU_MACS_PER_SECOND = 40e-6, 65e12
START_SECONDS = 8.0
CHECKPOINT_BYTES_PER_PARAMETER = 2 * 8  # weights and momentum; and the file that replaces them


class PlanError(Exception):
    """What was asked for is no plan: an unknown table, row or number of seeds."""


@dataclass(frozen=True)
class Job:
    """One run of a plan: where it stands (`done`, `diverged`, `resumable`, `missing`), and what it
    will take: seconds here and on a GPU, bytes of disk. `overrides` make it a twin of its row."""

    experiment: str
    dataset: str
    seed: int
    preset: str
    overrides: tuple[str, ...]
    facts: RowFacts
    iterations: int
    state: str
    seconds: float
    gpu_seconds: float

    @property
    def run(self) -> str:
        return run_name(self.experiment, self.overrides, self.dataset, self.seed)

    @property
    def disk(self) -> int:
        return self.facts.params * CHECKPOINT_BYTES_PER_PARAMETER

    @property
    def open(self) -> bool:
        return self.state not in ("done", "diverged")


def run_name(experiment: str, overrides: Sequence[str], dataset: str, seed: int) -> str:
    """The name under which train.py keeps a run."""
    suffix = "".join(f"+{override}" for override in sorted(overrides))
    return f"{experiment}{suffix}/{dataset}/seed{seed}"


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
    config = table_config(table)["table"]
    overrides = tuple(config.get("smoke_overrides", ())) if preset == "smoke" else ()
    chosen = _choose(table_rows(table, preset), rows, preset)
    return [
        _job(experiment, dataset, seed, preset, overrides, gpu)
        for experiment, dataset in chosen
        for seed in range(_count(seeds, table, experiment, dataset, preset))
    ]


def table_rows(table: str, preset: str = "paper") -> list[tuple[str, str]]:
    """The rows a table trains, each with its data set, from the table's config.

    Raises:
        PlanError: there is no such table, or it has no smoke version.
    """
    config = table_config(table)
    if preset == "smoke":
        if not config["table"]["smoke"]:
            raise PlanError(f"{table} has no small version; PRESET=paper plans the full recipe.")
        return [(row, "digits") for row in config["table"]["smoke"]]
    names = config["hydra"]["sweeper"]["params"]["experiment"].split(",")
    datasets, only = config["table"]["datasets"], config["table"].get("only", {})
    return [(row, data) for row in map(str.strip, names) for data in only.get(row, datasets)]


def table_config(table: str) -> dict[str, Any]:
    """The config of a table.

    Raises:
        PlanError: there is no such table.
    """
    folder = published.ROOT / "conf" / "table"
    path = folder / f"{table}.yaml"
    if not path.exists() and table in [*published.titles(), *architecture.tables()]:
        raise PlanError(
            f"{table} trains nothing of its own; `make table TABLE={table}` compiles it from what "
            "is quoted or counted."
        )
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
    lines = [_describe_job(job, width) for job in jobs]
    todo = [job for job in jobs if job.open]
    seconds, disk = sum(job.seconds for job in todo), sum(job.disk for job in todo)
    lines.append(
        f"{len(jobs) - len(todo)} of {len(jobs)} runs done; the others take about "
        f"{duration(seconds)} and {disk / 1e6:.0f} MB of disk "
        f"({free_bytes(output_folder()) / 1e9:.0f} GB free)."
        if todo
        else f"All {len(jobs)} runs are done."
    )
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """A duration for people."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def _describe_job(job: Job, width: int) -> str:
    text = f"  {job.run:<{width}}  {job.state:<9}"
    if not job.overrides:
        text += f"  {job.facts.recipe:<9}  {job.iterations:>7,} its  {job.facts.params / 1e6:6.2f}M"
    if not job.open:
        return text
    text += f"  about {duration(job.seconds)}"
    here = job.preset != "paper" or job.seconds == job.gpu_seconds
    return text if here else f"{text} here, {duration(job.gpu_seconds)} on a GPU"


def _choose(rows: Sequence[tuple[str, str]], wanted: str, preset: str) -> list[tuple[str, str]]:
    if not wanted:
        return list(rows)
    known = list(dict.fromkeys(row.rpartition("/")[2] for row, _ in rows))
    picked = [name.strip() for name in wanted.split(",") if name.strip()]
    if unknown := [name for name in picked if name not in known]:
        raise PlanError(
            f"ROWS={unknown[0]}: no such row with PRESET={preset}; choose from {', '.join(known)}."
        )
    return [pair for name in picked for pair in rows if pair[0].rpartition("/")[2] == name]


def _count(seeds: str, table: str, experiment: str, dataset: str, preset: str) -> int:
    if seeds == "paper":
        return published.runs_of(table, experiment, dataset) if preset == "paper" else 1
    if not seeds.isdecimal() or int(seeds) < 1:
        raise PlanError(f"SEEDS={seeds} is neither `paper` nor a number of runs.")
    return int(seeds)


def _job(
    experiment: str, dataset: str, seed: int, preset: str, overrides: tuple[str, ...], gpu: bool
) -> Job:
    row = _facts(experiment, dataset)
    run = run_name(experiment, overrides, dataset, seed)
    working = output_folder() / "runs" / preset / run
    state = _state(runs_folder(preset) / run, working)
    iterations, batch = _length(row, preset)
    pixels = (16 / 32) ** 2 if dataset == "digits" else 1.0
    depth = next((int(x.split("=")[1]) for x in overrides if x.startswith("model.depth=")), None)
    scale = pixels * (depth / row.depth if depth else 1.0)
    here, there = (
        START_SECONDS + iterations * _step_seconds(row, batch, scale, device)
        for device in (gpu, True)
    )
    return Job(experiment, dataset, seed, preset, overrides, row, iterations, state, here, there)


def _facts(experiment: str, dataset: str) -> RowFacts:
    """What a row trains; a small set stands in for any other."""
    found = facts(experiment, dataset)
    if found is None and dataset == "digits":
        found = facts(experiment, "cifar10_aug") or facts(experiment, "cifar10")
    if found is None:
        raise PlanError(
            f"{experiment} on {dataset} is not in results/rows.csv: `make architecture`."
        )
    return found


def _length(row: RowFacts, preset: str) -> tuple[int, int]:
    """Iterations and batch of a row with a preset."""
    if preset == "paper":
        return row.iterations, row.batch
    config: Any = OmegaConf.load(published.ROOT / "conf" / "preset" / f"{preset}.yaml")
    if preset == "smoke":
        return config.recipe.length, config.recipe.batch
    return min(row.iterations, config.stop), row.batch


def _state(finished: Path, working: Path) -> str:
    summary = finished / "summary.json"
    if summary.exists():
        try:
            status = json.loads(summary.read_text(encoding="utf-8"))["status"]
        except (ValueError, KeyError):
            raise PlanError(f"{summary} is damaged; restore or delete its folder.") from None
        return "diverged" if status == "diverged" else "done"
    return "resumable" if (working / "checkpoint.pt").exists() else "missing"


def _step_seconds(row: RowFacts, batch: int, scale: float, gpu: bool) -> float:
    macs = 3 * row.macs * batch * scale
    if gpu:
        return row.depth * GPU_SECONDS_PER_LAYER + macs / GPU_MACS_PER_SECOND
    return macs / CPU_MACS_PER_SECOND
