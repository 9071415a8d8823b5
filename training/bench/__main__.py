"""Measure training steps on this machine: python -m training.bench [--networks a,b]

On a CPU each network's loops take turns, a step each, with one thread in a process of their own:
what is compared is images per CPU-second. On a GPU every engine is timed, and the least time that
the machine allows is computed from what it can copy, multiply and launch.
"""

import argparse

import torch

from training.bench import cpu, cuda
from training.bench.apart import call
from training.bench.cases import Case, cpu_cases, gpu_cases
from training.bench.limits import Limits, measure_limits
from training.bench.report import rows_of, show, write
from training.provenance import ROOT


def main() -> None:
    gpu = torch.cuda.is_available()
    cases = chosen(gpu_cases() if gpu else cpu_cases())
    limits: Limits | None = call(measure_limits) if gpu else None
    if limits is not None:
        print(f"copy {limits.bandwidth / 1e12:.2f} TB/s, kernel {limits.node * 1e6:.2f} µs")
    measure = cuda.measure if gpu else cpu.measure
    device = torch.device("cuda" if gpu else "cpu")
    path = None
    for case in cases:
        print(case.network, flush=True)
        rows = rows_of(case, measure(case), limits)
        show(rows)
        # After each, so that a bench that is cut short leaves what it has measured.
        path = write(rows, device, [case.network for case in cpu_cases() + gpu_cases()])
    if path is not None:
        print(path.relative_to(ROOT))


def chosen(cases: list[Case]) -> list[Case]:
    """The cases asked for on the command line."""
    names = [case.network for case in cases]
    parser = argparse.ArgumentParser(prog="python -m training.bench")
    parser.add_argument("--networks", default="", help=f"of {','.join(names)}; all by default")
    wanted = parser.parse_args().networks
    asked = wanted.split(",") if wanted else names
    if unknown := set(asked) - set(names):
        parser.error(f"no case {', '.join(sorted(unknown))}; choose of {', '.join(names)}")
    return [case for case in cases if case.network in asked]


if __name__ == "__main__":
    main()
