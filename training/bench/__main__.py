"""Measure training steps on this machine: python -m training.bench

On a CPU each network's loops take turns, a step each, with one thread in a process of their own:
what is compared is images per CPU-second. On a GPU every engine is timed, and the least time that
the machine allows is computed from its measured bandwidth and its time for a small kernel.
"""

import torch

from training.bench import cpu, cuda
from training.bench.cases import RESNET20, Case, cpu_cases, gpu_cases
from training.bench.loops import read
from training.bench.report import rows_of, show, write
from training.bench.roofline import work_of
from training.provenance import ROOT

# A large matrix product, in multiply-adds counted twice, that H100-class cards reach in bfloat16.
FLOPS = 790e12


def main() -> None:
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    measure = cuda.measure if gpu else cpu.measure
    rows = []
    for case in gpu_cases() if gpu else cpu_cases():
        settings = read(case.row)
        print(f"{case.name}, batch {settings.recipe.batch}", flush=True)
        measured = measure(case.loops, case.rounds)
        found = rows_of(case, measured, batch=settings.recipe.batch, device=device)
        show(found)
        rows += found
    if gpu:
        case = Case(RESNET20, {}, 0)
        rows += rows_of(case, cuda.side_by_side(), batch=128, device=device)
        add_floors(rows)
    print(write(rows, device).relative_to(ROOT))


def add_floors(rows: list[dict]) -> None:
    """Put the least time of the fused form beside every row whose network it is."""
    bandwidth, node = cuda.copy_bandwidth(), cuda.node_seconds()
    print(f"copy {bandwidth / 1e12:.2f} TB/s, small kernel {node * 1e6:.2f} µs in a graph")
    for case in gpu_cases():
        settings = read(case.row)
        work = work_of(settings.model, batch=settings.recipe.batch, pixels=settings.data.size)
        floor = work.floor(bandwidth=bandwidth, node=node, flops=FLOPS)
        for row in rows:
            if row["network"] == case.name and "depth" not in row["loop"]:
                row["floor_ms"] = round(1000 * floor, 3)


if __name__ == "__main__":
    main()
