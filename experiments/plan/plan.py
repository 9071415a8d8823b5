"""The plan of a table or of a list: which runs it needs, which are done, what the rest takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.papers import published
from experiments.papers.conf import PlanError, table_config, table_rows
from experiments.plan import estimate
from experiments.plan.jobs import Job, parse_run
from experiments.plan.machine import free_bytes
from experiments.plan.states import ENDED, failure_of, state_of
from experiments.verdicts.records import survey
from records.names import KEPT, outputs, runs_folder


@dataclass(frozen=True)
class Entry:
    """A run of a plan: where it stands, and the seconds it takes here and on a large GPU."""

    job: Job
    state: str
    seconds: float
    gpu_seconds: float

    @property
    def open(self) -> bool:
        """Whether it is still to be done, by whomever."""
        return self.state not in ENDED


def table_jobs(table: str, *, preset: str, seeds: str = "paper", rows: str = "") -> list[Job]:
    """Every run a table needs, in its order.

    Args:
        preset: see conf/preset.
        seeds: how many runs a row, or `paper` for the paper's own number.
        rows: only these, comma-separated, by the last part of their names; empty for all.

    Raises:
        PlanError: an unknown table or row, or an impossible number of seeds.
    """
    config = table_config(table)["table"]
    overrides = tuple(config.get("smoke_overrides", ())) if preset == "smoke" else ()
    return [
        Job(experiment, dataset, seed, preset, overrides)
        for experiment, dataset in _choose(table_rows(table, preset), rows, preset)
        for seed in range(_count(seeds, table, experiment, dataset, preset))
    ]


def listed_jobs(path: Path, preset: str) -> list[Job]:
    """The runs named in a file, one a line; `#` starts a comment.

    Raises:
        PlanError: there is no such file, or a line names no run.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"RUNS={path} cannot be read ({error}).") from None
    names = [line.partition("#")[0].strip() for line in lines]
    return list(dict.fromkeys(parse_run(name, preset) for name in names if name))


def make_plan(jobs: Sequence[Job]) -> list[Entry]:
    """Where every job stands, and what it takes.

    Raises:
        PlanError: a job is of no known row, or its summary is damaged.
    """
    # Those of every kept preset tell how fast a network is, whatever the schedule.
    presets = {*KEPT, *(job.preset for job in jobs)}
    records = [r for preset in presets for r in survey(runs_folder(preset), preset)[0]]
    pace = estimate.recorded_pace(records)
    return [
        Entry(job, state_of(job), estimate.seconds_here(job, pace), estimate.seconds_on_gpu(job))
        for job in jobs
    ]


def describe(plan: Sequence[Entry]) -> str:
    """The plan as text: one line a run, then what the open ones take together."""
    width = max((len(entry.job.run) for entry in plan), default=0)
    lines = [_describe_entry(entry, width) for entry in plan]
    todo = [entry for entry in plan if entry.open]
    if not todo:
        return "\n".join([*lines, f"All {len(plan)} runs are done."])
    seconds = sum(entry.seconds for entry in todo)
    disk = estimate.disk_of_all([entry.job for entry in todo])
    free = free_bytes(outputs())
    lines.append(
        f"{len(plan) - len(todo)} of {len(plan)} runs done; the others take about "
        f"{duration(seconds)} and {disk / 1e6:.0f} MB of disk ({free / 1e9:.0f} GB free)."
    )
    if photographs := [entry.job for entry in todo if entry.job.dataset == "imagenet"]:
        hours = sum(map(estimate.seconds_on_gpu, photographs)) / 3600
        lines.append(f"Photographs: about {hours:.0f} GPU hours on one large GPU.")
    if disk > free:
        lines.append(f"The disk may fill up: free some space, or set OUTPUT_DIR ({outputs()}).")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """A duration for people."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def _describe_entry(entry: Entry, width: int) -> str:
    job = entry.job
    text = f"  {job.run:<{width}}  {entry.state:<9}"
    if not job.overrides:
        facts = job.facts
        text += f"  {facts.recipe:<9}  {job.iterations:>7,} its  {facts.params / 1e6:6.2f}M"
    if not entry.open:
        return text
    text += f"  about {duration(entry.seconds)}"
    if job.preset in KEPT and entry.seconds != entry.gpu_seconds:
        text += f" here, {duration(entry.gpu_seconds)} on a GPU"
    failure = failure_of(job) if entry.state == "failed" else None
    return f"{text}  ({failure.reason.splitlines()[0]})" if failure else text


def _choose(rows: Sequence[tuple[str, str]], wanted: str, preset: str) -> list[tuple[str, str]]:
    if not wanted:
        return list(rows)
    known = list(dict.fromkeys(row.rpartition("/")[2] for row, _ in rows))
    picked = list(dict.fromkeys(name.strip() for name in wanted.split(",") if name.strip()))
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
