"""The table of a benchmark: one row per network and loop, in results/bench/<device>.csv."""

import re
from pathlib import Path
from statistics import median

import pandas as pd
import torch

from records.code import commit
from records.files import ROOT, write_atomically
from training.bench.cases import NETWORKS, Loop
from training.bench.roofline import Limits, kernels_of
from training.runs.summary import machine
from training.settings.network import outline, skips

FOLDER = ROOT / "results" / "bench"


def row_of(loop: Loop, seconds: list[float], first: list[float], limits: Limits | None) -> dict:
    """A row of the table: a loop's speed, and how many times faster it is than the first loop, as
    the median over rounds."""
    batch, step = loop.settings().recipe.batch, median(seconds)
    faster = median(a / b for a, b in zip(first, seconds, strict=True))
    return {
        "loop": loop.name, "precision": loop.precision, "batch": batch,
        "images_per_second": round(batch / step, 1),
        "unit": "images/s" if loop.device == "cuda" else "images/CPU-second",
        "ms_per_step": round(1000 * step, 3), "to_first": round(faster, 3),
        "floor_ms": floor_ms(loop, limits) if limits else None, "rounds": len(seconds),
    }  # fmt: skip


def floor_ms(loop: Loop, limits: Limits) -> float | None:
    """Lower bound on a step's milliseconds; None for a network that skips layers."""
    settings = loop.settings()
    network, element = outline(settings.model), 2 if loop.precision == "bf16" else 4
    if skips(network):
        return None
    kernels = kernels_of(network, settings.recipe.batch, settings.data.size, element)
    return round(1000 * limits.floor(kernels), 3)


def write(network: str, rows: list[dict], device: torch.device) -> Path:
    """Replace a network's rows in the table, adding device and commit, and return the file."""
    facts = machine(device) | commit()
    provenance = {key: facts[key] for key in ("device", "torch", "commit")}
    name = re.sub(r"[^a-z0-9]+", "_", str(facts["device"]).lower()).strip("_")
    path, known = FOLDER / f"{name}.csv", list[dict]()
    if path.exists():
        known = [row for row in pd.read_csv(path).to_dict("records") if row["network"] != network]
    known += [{"network": network, **row, **provenance} for row in rows]
    known.sort(key=lambda row: list(NETWORKS).index(row["network"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, pd.DataFrame(known).to_csv(index=False, lineterminator="\n"))
    return path
