"""Measure every panel: python -m training.theory; takes a few minutes on a CPU.

Writes results/theory/theory.csv: for each panel and network, value by position.
"""

import sys
from collections.abc import Iterator

import numpy as np

from records.command import argument_parser, guarded
from records.files import write_csv
from records.names import results
from training.theory import parts, signals
from training.theory.networks import ROWS, Trained, train, units

BATCH = 128  # images per gradient
DROPPED, DRAWS = (0, 1, 2, 3, 4, 6, 9), 20  # numbers of units left out, random draws of each
Row = tuple[str, str, float, float]


@guarded
def main() -> int:
    """Train the networks, write all panels, return exit code 0."""
    networks: dict[str, Trained] = {}
    for name in ROWS:
        print(f"training: {name}", flush=True)
        networks[name] = train(name)
    path = results() / "theory" / "theory.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        {"panel": panel, "network": name, "position": f"{place:.4f}", "value": f"{value:.6g}"}
        for panel, name, place, value in rows(networks)
    ]
    write_csv(path, lines)
    print(path)
    return 0


def rows(networks: dict[str, Trained]) -> Iterator[Row]:
    """Every panel's rows, from all of `ROWS`."""
    for name in ("full pre-activation", "original", "scaling 0.5", "exclusive gate", "plain"):
        one = networks[name]
        images, labels = (x[:BATCH] for x in one.train)
        for when, model in (("start", one.start), ("trained", one.model)):
            norms = signals.gradients(model, images, labels)
            yield from numbered(f"gradient, {when}", name, [x / norms[-1] for x in norms])
    for name in ("full pre-activation", "original", "scaling 0.5"):
        one = networks[name]
        yield from numbered("sum", name, signals.sums_left(one.model, one.test[0]))
    one = networks["original"]
    for name, model in (("start", one.start), ("trained", one.model)):
        yield from numbered("truncated", name, signals.truncated(model, one.test[0]))
    for name in ("original", "stochastic depth"):
        yield from sub_networks(name, networks[name])
    for name in ("full pre-activation", "plain", "DenseNet"):
        errors = parts.probe_errors(networks[name])
        for number, value in enumerate(errors, 1):
            yield "probe", name, number / len(errors), value


def numbered(panel: str, name: str, values: list[float]) -> Iterator[Row]:
    """Rows of values by unit, counted from 1."""
    for number, value in enumerate(values, 1):
        yield panel, name, number, value


def sub_networks(name: str, one: Trained) -> Iterator[Row]:
    """Mean error of sub-networks by how many units they leave out; the network's own error is at
    -1."""
    yield "sub-networks", name, -1, parts.error(one.model, *one.test)
    count, random = len(list(units(one.model))), np.random.default_rng(0)
    for dropped in DROPPED:
        draws = range(DRAWS if dropped else 1)
        chosen = [random.choice(count, dropped, replace=False).tolist() for _ in draws]
        errors = [parts.error_without(one.model, *one.test, some) for some in chosen]
        yield "sub-networks", name, dropped, float(np.mean(errors))


if __name__ == "__main__":
    argument_parser(__doc__).parse_args()
    sys.exit(main())
