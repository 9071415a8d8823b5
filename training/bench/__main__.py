"""Measure training steps on this machine: python -m training.bench [--networks a,b]

On a CPU the loops of a network take turns, a step each, every loop with one thread in its own
process; they are compared by images per CPU-second. On a GPU each loop is timed alone, and a lower
bound on its time is computed from how fast the GPU copies and launches.
"""

import sys

import pandas as pd
import torch

from records.command import argument_parser, guarded
from training.bench.cases import NETWORKS, Loop, loops_on
from training.bench.roofline import measure_limits
from training.bench.table import row_of, write
from training.bench.turns import measure

ROUNDS = 10  # on a GPU


@guarded
def main() -> None:
    networks = asked()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    limits = measure_limits() if device.type == "cuda" else None
    for network in networks:
        print(network, flush=True)
        times = times_on(network, device.type)
        rows = [row_of(*time, next(iter(times.values())), limits) for time in times.items()]
        if rows:  # after each network, so that an interrupted benchmark keeps its measurements
            print(pd.DataFrame(rows).to_string(index=False, na_rep="-"))
            print(f"  {write(network, rows, device)}", flush=True)


def times_on(network: str, device: str) -> dict[Loop, list[float]]:
    """Seconds per step of each loop, measured in turns on a CPU and one after another on a GPU."""
    loops = loops_on(network, device)
    if device == "cpu":
        return measure(loops, NETWORKS[network][1])
    return {loop: times for one in loops for loop, times in measure([one], ROUNDS).items()}


def asked() -> list[str]:
    """The networks on the command line; all by default."""
    parser = argument_parser(__doc__)
    parser.add_argument("--networks", default="", help=f"of {','.join(NETWORKS)}; all by default")
    names = [name for name in parser.parse_args().networks.split(",") if name] or list(NETWORKS)
    if unknown := sorted(set(names) - set(NETWORKS)):
        parser.error(f"no network {', '.join(unknown)}; choose of {', '.join(NETWORKS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
