"""The plan of a table or of a list: which runs it needs, which are done, what the rest takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.papers import published
from experiments.papers.conf import PlanError, table_config, table_rows
from experiments.plan import estimate
from experiments.plan.jobs import Job, parse_run
from experiments.plan.machine import gpus
from experiments.plan.states import ENDED, state_of
from experiments.verdicts.loading import survey
from records.names import KEPT, runs_folder

MOST_SEEDS = 1_000


@dataclass(frozen=True)
class Entry:
    """A run of a plan: its state, and the seconds it takes here and on a large GPU.

    Attributes:
        timed: whether its time here comes from a record made on this device.
        scaled: whether its time here is counted, but scaled by steps timed here.
    """

    job: Job
    state: str
    seconds: float
    gpu_seconds: float
    timed: bool = False
    scaled: bool = False

    @property
    def open(self) -> bool:
        """Whether it has yet to end, whoever trains it."""
        return self.state not in ENDED


def table_jobs(table: str, *, preset: str, seeds: str = "paper", rows: str = "") -> list[Job]:
    """Every run a table needs, in its order.

    Args:
        preset: see conf/preset.
        seeds: number of runs per row, or `paper` for the paper's own number.
        rows: only these, comma-separated, by the last part of their names; empty for all.

    Raises:
        PlanError: an unknown table or row, or an impossible number of seeds.
    """
    overrides = table_config(table).smoke_overrides if preset == "smoke" else ()
    return [
        Job(experiment, dataset, seed, preset, overrides)
        for experiment, dataset in _choose(table_rows(table, preset), rows, preset)
        for seed in range(_count(seeds, table, experiment, dataset, preset))
    ]


def listed_jobs(path: Path, preset: str) -> list[Job]:
    """The runs named in a file, one per line; `#` starts a comment.

    Raises:
        PlanError: there is no such file, or it or one of its lines names no run.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # some editors write a BOM
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise PlanError(f"RUNS={path} cannot be read: {reason}.") from None
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    if not names:
        raise PlanError(f"RUNS={path} names no run.")
    return list(dict.fromkeys(parse_run(name, preset) for name in names))


def with_teachers(jobs: Sequence[Job]) -> list[Job]:
    """The same runs, where each student still to be trained follows its teacher, which is added if
    missing."""
    ordered: dict[Job, None] = {}
    for job in jobs:
        if job.teacher is not None and state_of(job) not in ENDED:
            ordered[job.teacher] = None
        ordered[job] = None
    return list(ordered)


def make_plan(jobs: Sequence[Job], *, timing: bool = False) -> list[Entry]:
    """The state of every job, and what it takes.

    Args:
        timing: whether a few steps may be timed on a GPU here, if records do not tell enough.

    Raises:
        PlanError: the row of a job is unknown, or its summary is damaged.
    """
    # Records of every kept preset tell how fast a network is, whatever the schedule.
    presets = {*KEPT, *(job.preset for job in jobs)}
    records = [r for preset in presets for r in survey(runs_folder(preset), preset)[0]]
    pace = estimate.recorded_pace(records)
    plan = [_entry(job, pace) for job in jobs]
    counted = sum(entry.seconds for entry in plan if entry.open and not entry.timed)
    if timing and gpus() and counted > estimate.TIMED_ABOVE:
        pace = pace.timed_here()
        plan = [_entry(job, pace) for job in jobs]
    return plan


def _entry(job: Job, pace: estimate.Pace) -> Entry:
    timed = estimate.recorded(job, pace) is not None
    return Entry(
        job, state_of(job), estimate.seconds_here(job, pace), estimate.seconds_on_gpu(job),
        timed=timed, scaled=not timed and pace.scale is not None,
    )  # fmt: skip


def _choose(rows: Sequence[tuple[str, str]], wanted: str, preset: str) -> list[tuple[str, str]]:
    if not wanted:
        return list(rows)
    known = list(dict.fromkeys(row.rpartition("/")[2] for row, _ in rows))
    picked = list(dict.fromkeys(name.strip() for name in wanted.split(",") if name.strip()))
    if not picked:
        raise PlanError(f"ROWS={wanted!r} names no row; choose from {', '.join(known)}.")
    if unknown := [name for name in picked if name not in known]:
        raise PlanError(
            f"ROWS={unknown[0]}: no such row with PRESET={preset}; choose from {', '.join(known)}."
        )
    return [pair for name in picked for pair in rows if pair[0].rpartition("/")[2] == name]


def _count(seeds: str, table: str, experiment: str, dataset: str, preset: str) -> int:
    if seeds == "paper":
        return published.runs_of(table, experiment, dataset) if preset == "paper" else 1
    if not seeds.isdecimal() or not 1 <= int(seeds) <= MOST_SEEDS:
        raise PlanError(f"SEEDS={seeds} is neither `paper` nor a number from 1 to {MOST_SEEDS:,}.")
    return int(seeds)
