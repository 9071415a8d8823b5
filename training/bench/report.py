"""The table of a benchmark: one row a network and loop, as CSV and on the screen."""

import re
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch

from training.bench.cases import Case
from training.bench.cpu import Times, paired_ratio
from training.provenance import ROOT, machine, source
from training.record import write_atomically

FOLDER = Path(ROOT) / "results" / "bench"


def rows_of(
    case: Case, times: Mapping[str, Times], *, batch: int, device: torch.device
) -> list[dict[str, Any]]:
    """A row a loop: its speed, and how many times faster it is than the usual and the eager one."""
    unit = "second" if device.type == "cuda" else "CPU-second"
    rows = []
    for loop, found in times.items():
        step = median(found.seconds)
        size = int(loop.rpartition("batch ")[2]) if "batch " in loop else batch
        row = {
            "network": case.name,
            "loop": loop,
            "batch": size,
            "images_per_second": round(size / step, 1),
            "unit": f"images/{unit}",
            "ms_per_step": round(1000 * step, 3),
            "start_seconds": round(found.start, 1),
            "megabytes": round(found.memory / 1e6),
            "kernels": found.kernels,
            "rounds": len(found.seconds),
        }
        for base in ("conventional", "eager", "constant_depth"):
            first = next((t for name, t in times.items() if name.split()[0] == base), None)
            if first is not None and len(first.seconds) == len(found.seconds):
                row[f"to_{base}"] = round(paired_ratio(first.seconds, found.seconds), 3)
        rows.append(row)
    return rows


def write(rows: list[dict[str, Any]], device: torch.device) -> Path:
    """Write the rows with the machine they were measured on; the path."""
    facts = machine(device) | source()
    frame = pd.DataFrame(rows).assign(**{key: facts[key] for key in ("device", "torch", "commit")})
    for column in ("kernels", "floor_ms"):
        if column in frame and frame[column].isna().all():
            frame = frame.drop(columns=column)
    path = FOLDER / f"{slug(str(facts['device']))}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, frame.to_csv(index=False, lineterminator="\n"))
    return path


def slug(name: str) -> str:
    """A device's name as a file name."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def show(rows: list[dict[str, Any]]) -> None:
    """Print rows as they come."""
    for row in rows:
        ratios = "  ".join(f"{k}: x{v}" for k, v in row.items() if k.startswith("to_"))
        print(
            f"  {row['loop']:<28} {row['images_per_second']:>9,} {row['unit']}  "
            f"{row['ms_per_step']:>9} ms/step  {row['megabytes']:>6} MB  "
            f"start {row['start_seconds']} s  {ratios}",
            flush=True,
        )
