"""Photographs in a second: how many training takes, and how many this machine can decode."""

import os
import re
from collections.abc import Sequence

import pandas as pd

from experiments.estimate import START_SECONDS, seconds_on_gpu
from experiments.jobs import Job
from experiments.machine import device_name
from experiments.published import ROOT

SPEED_UP = 6.7  # of eight GPUs over one: NVIDIA's published ResNet-50, mixed precision
FOLDER = ROOT / "results" / "bench"


def needed(job: Job) -> float:
    """Images in a second that a large GPU trains on, by counting operations."""
    return job.iterations * job.batch / (seconds_on_gpu(job) - START_SECONDS)


def decoded() -> float | None:
    """Images in a second that one core decodes and augments, as measured on a machine like this
    one by `make bench NETWORKS=loading`; None where nobody has."""
    name = re.sub(r"[^a-z0-9]+", "_", device_name().lower()).strip("_")
    path = FOLDER / f"{name}.csv"
    if not path.exists():
        return None
    frame = pd.read_csv(path)
    rows = frame[(frame["network"] == "loading") & (frame["loop"] == "ours")]
    return None if rows.empty else float(rows["images_per_second"].iloc[-1])


def describe(jobs: Sequence[Job]) -> str:
    """What has to be said of the photographs that runs take in."""
    hours = sum(map(seconds_on_gpu, jobs)) / 3600
    text = (
        f"Photographs: about {hours:.0f} GPU hours on one large GPU, {hours / SPEED_UP:.0f} hours "
        f"on eight. One takes up to "
        f"{max(map(needed, jobs)):,.0f} images/s"
    )
    cores, rate = os.cpu_count() or 1, decoded()
    if rate is None:
        return f"{text}; how many are decoded here, `make bench NETWORKS=loading` measures."
    return f"{text}; {cores} cores here decode {rate * cores:,.0f}."
