"""A plan in readable form: what it takes in total, and a line per row."""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from experiments.papers import datasets
from experiments.plan import estimate
from experiments.plan.jobs import Job
from experiments.plan.machine import device_name, free_bytes
from experiments.plan.plan import Entry
from experiments.plan.states import failure_of, state_of, test_error_of
from records.code import in_words, uncommitted
from records.names import KEPT, outputs
from records.words import duration


def summary(plan: Sequence[Entry]) -> str:
    """How many runs are done, what the others take together, and where the times come from."""
    todo = [entry for entry in plan if entry.open]
    if not todo:
        return f"all {len(plan)} runs are done."
    disk, free = estimate.disk_of_all([entry.job for entry in todo]), free_bytes(outputs())
    lines = [
        f"{len(plan) - len(todo)} of {len(plan)} runs done; the others take about "
        f"{duration(sum(entry.seconds for entry in todo))} and {_size(disk)} of disk "
        f"({free / 1e9:.0f} GB free).",
        _sources(todo),
    ]
    if photographs := [entry.job for entry in todo if entry.job.dataset == "imagenet"]:
        hours = sum(map(estimate.seconds_on_gpu, photographs)) / 3600
        lines.append(f"ImageNet rows: about {hours:.0f} GPU hours on a large GPU.")
    if disk > free:
        lines.append(f"The disk may fill up: free space, or change OUTPUT_DIR ({outputs()}).")
    return "\n".join(lines)


def table(plan: Sequence[Entry]) -> pd.DataFrame:
    """A line per row, its seeds together; times are those of its open runs."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in plan:
        groups.setdefault(_row(entry.job), []).append(entry)
    rows = []
    names = _short([row for row, _ in groups])
    for name, entries in zip(names, groups.values(), strict=True):
        job, open_ones = entries[0].job, [entry for entry in entries if entry.open]
        rows.append({
            "Row": name,
            "Data": datasets.of(job.dataset).short,
            "State": _state(entries),
            "Here": duration(sum(e.seconds for e in open_ones)) if open_ones else "",
            "H100": duration(sum(e.gpu_seconds for e in open_ones)) if open_ones else "",
            "Iterations": f"{job.iterations:,}",
            "Params": "" if job.overrides else f"{job.facts.params / 1e6:.2f}M",
            "Recipe": "" if job.overrides else job.facts.recipe,
        })  # fmt: skip
    return pd.DataFrame(rows)


def results(jobs: Sequence[Job]) -> pd.DataFrame:
    """The results, a line per run; runs that have not ended have no test error."""
    names = _short([_row(job)[0] for job in jobs])
    errors = [test_error_of(job) for job in jobs]
    return pd.DataFrame({
        "Row": names,
        "Data": [datasets.of(job.dataset).short for job in jobs],
        "Seed": [str(job.seed) for job in jobs],
        "State": [state_of(job) for job in jobs],
        "Test error (%)": ["" if error is None else f"{error:.2f}" for error in errors],
    })  # fmt: skip


def failures(plan: Sequence[Entry]) -> list[str]:
    """Why runs failed, a line per run."""
    failed = ((entry.job, failure_of(entry.job)) for entry in plan if entry.state == "failed")
    return [f"{job.run}: {why.reason.splitlines()[0]}" for job, why in failed if why]


def in_no_table(plan: Sequence[Entry]) -> list[str]:
    """Why open runs of presets whose records are kept will enter no table, a line per reason."""
    todo = [entry.job for entry in plan if entry.open and entry.job.preset in KEPT]
    lines = []
    if todo and (changed := uncommitted()):
        lines.append(f"Runs trained now will not enter any table: {in_words(changed)}.")
    if others := [job for job in todo if job.overrides]:
        lines.append(
            f"Runs with overrides enter no table: {len(others)} of these, such as {others[0].run}."
        )
    return lines


def _size(count: float) -> str:
    """A number of bytes, rounded, with its unit."""
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def _sources(todo: Sequence[Entry]) -> str:
    """Where the times come from."""
    timed = sum(entry.timed for entry in todo)
    if timed == len(todo):
        return f"Times are from records made on this {device_name()}."
    some = f"Times of {timed} of {len(todo)} runs are from records made on this {device_name()}; "
    counted = f"{some if timed else ''}{'the others' if timed else 'Times'} are computed from"
    if any(entry.scaled for entry in todo):
        how = f"and scaled by timing twenty steps of ResNet-20 on this {device_name()}"
        return f"{counted} layers and multiply-adds, {how}."
    return f"{counted} layers and multiply-adds, not measured here."


def _row(job: Job) -> tuple[str, str]:
    """A job's row with its overrides, and the data set."""
    return job.run.rsplit("/", 2)[0], job.dataset


def _state(entries: Sequence[Entry]) -> str:
    """The state of a row's only run, or how many of its runs are in each state."""
    counts = Counter(entry.state for entry in entries)
    if len(entries) == 1:
        return entries[0].state
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def _short(names: Sequence[str]) -> list[str]:
    """Names of rows without the folders common to all; papers by author and year."""
    split = [name.split("/") for name in names]
    while len({one[0] for one in split}) == 1 and all(len(one) > 1 for one in split):
        split = [one[1:] for one in split]
    return [
        "/".join([one[0].partition("_")[0] if len(one) == 3 else one[0], *one[1:]]) for one in split
    ]
