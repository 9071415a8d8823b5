"""Measure training steps on this machine: python -m training.bench [--networks a,b]

On a CPU each network's loops take turns, a step each, with one thread in a process of their own:
what is compared is images per CPU-second. On a GPU every engine is timed, and the least time that
the machine allows is computed from what it can copy, multiply and launch.
"""

import argparse

import torch

from training.bench import cpu, cuda, loading
from training.bench.apart import LeftOut, call
from training.bench.cases import cpu_cases, gpu_cases
from training.bench.limits import Limits, measure_limits
from training.bench.report import rows_of, show, write
from training.provenance import ROOT


def main() -> None:
    gpu = torch.cuda.is_available()
    known = gpu_cases() if gpu else cpu_cases()
    asked = wanted([*(case.network for case in known), loading.NAME])
    cases = [case for case in known if case.network in asked]
    limits: Limits | None = call(measure_limits) if gpu else None
    if limits is not None:
        print(f"copy {limits.bandwidth / 1e12:.2f} TB/s, kernel {limits.node * 1e6:.2f} µs")
    measure = cuda.measure if gpu else cpu.measure
    device = torch.device("cuda" if gpu else "cpu")
    path = None
    order = [*(case.network for case in cpu_cases() + gpu_cases()), loading.NAME]
    for case in cases:
        print(case.network, flush=True)
        rows = rows_of(case, measure(case), limits)
        show(rows)
        # After each, so that a bench that is cut short leaves what it has measured.
        path = write(rows, device, order)
    if loading.NAME in asked:
        print(loading.NAME, flush=True)
        try:
            rows = call(loading.measure)
        except LeftOut as reason:
            print(f"  left out ({reason})")
        else:
            show(rows)
            path = write(rows, device, order)
    if path is not None:
        print(path.relative_to(ROOT))


def wanted(names: list[str]) -> list[str]:
    """The cases asked for on the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.bench")
    parser.add_argument("--networks", default="", help=f"of {','.join(names)}; all by default")
    told = parser.parse_args().networks
    asked = told.split(",") if told else names
    if unknown := set(asked) - set(names):
        parser.error(f"no case {', '.join(sorted(unknown))}; choose of {', '.join(names)}")
    return asked


if __name__ == "__main__":
    main()
