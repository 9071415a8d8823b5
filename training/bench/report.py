"""The table of a benchmark: one row a network and loop, as CSV and on the screen."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch

from training.bench.cases import Case, Loop, bases
from training.bench.limits import Limits
from training.bench.roofline import work_of
from training.bench.times import Times, paired_ratio
from training.provenance import ROOT, machine, source
from training.record import write_atomically

FOLDER = Path(ROOT) / "results" / "bench"
FACTS = ("device", "torch", "commit")
# Columns that say nothing where nothing of theirs was measured.
OPTIONAL = (
    "compile_seconds",
    "kernels",
    "floor_ms",
    "copy_gigabytes_per_second",
    "node_microseconds",
)


def rows_of(
    case: Case, times: Mapping[Loop, Times], limits: Limits | None = None
) -> list[dict[str, Any]]:
    """A row a loop: its speed, and how many times faster it is than what it is compared with."""
    rows = []
    for loop, found in times.items():
        settings, step = loop.settings(), median(found.seconds)
        batch = settings.recipe.batch
        row: dict[str, Any] = {
            "network": case.network,
            "loop": loop.name,
            "precision": loop.precision,
            "batch": batch,
            "images_per_second": round(loop.runs * batch / step, 1),
            "unit": "images/s" if loop.device == "cuda" else "images/CPU-second",
            "ms_per_step": round(1000 * step, 3),
        }
        ratios = dict.fromkeys(("to_conventional", "to_eager", "to_constant_depth"))
        for column, base in bases(loop, tuple(times)).items():
            faster = paired_ratio(times[base].seconds, found.seconds)
            ratios[column] = round(faster * loop.runs, 3)
        row |= ratios | {
            "startup_seconds": round(found.start, 1),
            "compile_seconds": round(found.compile, 1) if loop.compiles else None,
            "megabytes": round(found.memory / 1e6),
            "kernels": found.kernels,
            "floor_ms": floor_ms(loop, limits),
            "rounds": found.steps,
        }
        if limits is not None:
            row["copy_gigabytes_per_second"] = round(limits.bandwidth / 1e9)
            row["node_microseconds"] = round(limits.node * 1e6, 2)
        rows.append(row)
    return rows


def floor_ms(loop: Loop, limits: Limits | None) -> float | None:
    """Milliseconds that a step of the fused form takes at least; None where it is another's work:
    of several networks, or of a part of one."""
    if limits is None or loop.runs > 1 or loop.name.startswith("skipping"):
        return None
    settings = loop.settings()
    element = 2 if loop.precision == "bf16" else 4
    work = work_of(
        settings.model, batch=settings.recipe.batch, pixels=settings.data.size, element=element
    )
    flops = limits.flops[loop.precision]
    return round(1000 * work.floor(bandwidth=limits.bandwidth, node=limits.node, flops=flops), 3)


def write(rows: list[dict[str, Any]], device: torch.device, order: Sequence[str] = ()) -> Path:
    """Write rows, with the machine they were measured on, in place of those of their networks.

    Args:
        order: of the networks in the file.

    Returns:
        the file.
    """
    facts = machine(device) | source()
    frame = pd.DataFrame(rows).assign(**{key: facts[key] for key in FACTS})
    path = FOLDER / f"{slug(str(facts['device']))}.csv"
    if path.exists():
        before = pd.read_csv(path)
        kept = before[~before["network"].isin(frame["network"])].reindex(columns=frame.columns)
        frame = pd.DataFrame([*kept.to_dict("records"), *frame.to_dict("records")])
        place = {name: number for number, name in reversed(list(enumerate(order)))}
        places = frame["network"].map(lambda name: place.get(name, len(order)))
        frame = frame.loc[places.sort_values(kind="stable").index]
    empty = [key for key in OPTIONAL if key in frame and frame[key].isna().all()]
    path.parent.mkdir(parents=True, exist_ok=True)
    text = frame.drop(columns=empty).to_csv(index=False, lineterminator="\n")
    write_atomically(path, text)
    return path


def slug(name: str) -> str:
    """A device's name as a file name."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def show(rows: list[dict[str, Any]]) -> None:
    """Print rows as they come."""
    for row in rows:
        ratios = "  ".join(
            f"{key.replace('_', ' ')} ×{value:.2f}"
            for key, value in row.items()
            if key.startswith("to_") and value not in (None, 1.0)
        )
        floor = f"  floor {row['floor_ms']} ms" if row["floor_ms"] is not None else ""
        compiling = row["compile_seconds"]
        compiling = "" if compiling is None else f"  compile {compiling} s"
        print(
            f"  {row['loop'] + ' ' + row['precision']:<22} {row['images_per_second']:>10,} "
            f"{row['unit']}  {row['ms_per_step']:>9} ms{floor}  {row['megabytes']:>6} MB  "
            f"start {row['startup_seconds']:>5} s{compiling}  {ratios}",
            flush=True,
        )
