"""Two sets of records side by side: another machine's, another precision's: `make compare A= B=`.

A set is a folder of records, with overrides behind it where it is about changed rows:

    make compare A=results B=../elsewhere/results
    make compare A=results B=results+precision=bf16
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import pandas as pd

from experiments import tables
from experiments.aggregate import working_error
from experiments.cells import MISSING
from experiments.published import fingerprints
from experiments.records import METRICS, RecordError, RunRecord, load
from experiments.verdict import others_deviation, spread

Key = tuple[str, str, str, str]  # row, data set, preset, fingerprint of the data


# What beside the measured may differ between two sets of runs of a row.
ALIKE = {
    "configuration": "recipe", "iterations": "iterations", "code": "code", "device": "device",
    "runs at once": "runs_at_once", "processes": "processes",
}  # fmt: skip


class CompareError(Exception):
    """A set of records is not there, or the two have nothing in common."""


@dataclass(frozen=True)
class Side:
    """A set of records: a folder, and what overrides add to the names of rows there."""

    folder: Path
    suffix: str

    def records(self) -> dict[Key, list[RunRecord]]:
        """The intact records, by what they measure, in the order of their seeds.

        Raises:
            CompareError: there are none, or one twice.
        """
        found: dict[Key, list[RunRecord]] = {}
        for record in _intact(self.folder):
            if record.run.split("/")[2] != record.experiment.split("/")[2] + self.suffix:
                continue
            facts = (str(record.summary["preset"]), str(record.summary["data"]))
            own = found.setdefault((record.experiment, record.dataset, *facts), [])
            if record.seed in [other.seed for other in own]:
                raise CompareError(
                    f"{self.folder} holds {record.run} twice; name one of the folders below it."
                )
            own.append(record)
        if not found:
            changed = f" of rows with {self.suffix}" if self.suffix else ""
            raise CompareError(f"{self.folder} holds no record{changed}.")
        return found


def parse_side(text: str) -> Side:
    """A set of records from `FOLDER[+override...]`.

    Raises:
        CompareError: there is no such folder.
    """
    name, plus, overrides = text.partition("+")
    if not text:
        raise CompareError("Give two sets of records, as in A=results B=../elsewhere/results.")
    folder = Path(name or "results")
    if not folder.is_dir():
        hint = " Import it first: make bundle IMPORT=... INTO=FOLDER." if folder.is_file() else ""
        raise CompareError(f"{folder} is no folder of records.{hint}")
    return Side(folder, plus + overrides)


def _intact(folder: Path) -> Iterator[RunRecord]:
    """The intact records anywhere below a folder, by seed; the others are named."""
    records = []
    for path in sorted(folder.rglob("summary.json")):
        try:
            record = load(path.parent)
            record.metrics()
        except RecordError as error:
            print(f"Left out: {error}", file=sys.stderr)
        else:
            records.append(record)
    yield from sorted(records, key=lambda record: record.seed)


def compare(a: Side, b: Side) -> pd.DataFrame:
    """A line a row that both sets have measured.

    Raises:
        CompareError: a set is empty, or no row is in both.
    """
    ours, theirs = a.records(), b.records()
    lines = [_line(key, ours[key], theirs[key]) for key in ours if key in theirs]
    if not lines:
        raise CompareError(f"No row is measured both in {a.folder} and in {b.folder}.")
    return pd.DataFrame(lines)


def _line(key: Key, ours: Sequence[RunRecord], theirs: Sequence[RunRecord]) -> dict[str, str]:
    first, second = _errors(ours, key[2]), _errors(theirs, key[2])
    both = first and second
    return {
        "Row": key[0],
        "Data": key[1] if key[3] == fingerprints().get(key[1], key[3]) else f"{key[1]}, {key[3]}",
        "Preset": key[2],
        "A (%)": _mean(first, len(ours)),
        "B (%)": _mean(second, len(theirs)),
        "B - A": f"{fmean(second) - fmean(first):+.2f}" if both else MISSING,
        "Verdict": "identical" if _same(ours, theirs) else _verdict(key, first, second),
        "Same seed": _paired(ours, theirs),
        "Equal curves": _equal(ours, theirs),
        "Time B / A": _times(ours, theirs),
        "Not the same": ", ".join(_unlike(ours, theirs)) or MISSING,
    }


def _unlike(ours: Sequence[RunRecord], theirs: Sequence[RunRecord]) -> list[str]:
    """What of the runs differs that might make a difference, beside the seed."""
    sides = [[record.summary for record in records] for records in (ours, theirs)]
    return [
        name
        for name, key in ALIKE.items()
        if len({repr(summary.get(key)) for side in sides for summary in side}) > 1
    ]


def _errors(records: Sequence[RunRecord], preset: str) -> list[float]:
    """Test errors of the runs that train; what fails is known of full recipes only."""
    whole = preset == "paper"
    found = [working_error(r) if whole else r.error("last") for r in records]
    return [error for error in found if error is not None]


def _mean(errors: Sequence[float], runs: int) -> str:
    if not errors:
        return f"fail ({runs})"
    text = f"{fmean(errors):.2f}"
    if len(errors) > 1:
        text += f" ± {stdev(errors):.2f}"
    failed = runs - len(errors)
    return f"{text} (n = {len(errors)}" + (f", {failed} failed)" if failed else ")")


def _verdict(key: Key, first: Sequence[float], second: Sequence[float]) -> str:
    """Whether the means differ by more than two standard deviations."""
    if not first or not second:
        return "both fail" if not first and not second else "one fails"
    known = [(stdev(v), len(v)) if len(v) > 1 else None for v in (first, second)]
    others = others_deviation(key[0], key[1]) if key[2] == "paper" else None
    std = spread(known[0], known[1], others)
    if std is None:
        return "undecided"
    gap = fmean(second) - fmean(first)
    if abs(gap) <= 2 * std:
        return "within the spread"
    return "A is lower" if gap > 0 else "B is lower"


def _paired(ours: Sequence[RunRecord], theirs: Sequence[RunRecord]) -> str:
    """Mean difference over the seeds that both have, with its deviation."""
    gaps = [
        second - first
        for one, other in _pairs(ours, theirs)
        if (first := one.error("last")) is not None and (second := other.error("last")) is not None
    ]
    if not gaps:
        return MISSING
    text = f"{fmean(gaps):+.2f}"
    return f"{text} ± {stdev(gaps):.2f}" if len(gaps) > 1 else text


def _equal(ours: Sequence[RunRecord], theirs: Sequence[RunRecord]) -> str:
    """Of the seeds that both have, how many gave the same metrics to the last digit."""
    pairs = _pairs(ours, theirs)
    return f"{sum(_alike(*pair) for pair in pairs)} of {len(pairs)}" if pairs else MISSING


def _same(ours: Sequence[RunRecord], theirs: Sequence[RunRecord]) -> bool:
    """Whether both sets have the same seeds, and every one the same metrics."""
    pairs = _pairs(ours, theirs)
    return len(pairs) == len(ours) == len(theirs) and all(_alike(*pair) for pair in pairs)


def _alike(one: RunRecord, other: RunRecord) -> bool:
    return one.error("last") == other.error("last") and one.metrics()[list(METRICS)].equals(
        other.metrics()[list(METRICS)]
    )


def _pairs(
    ours: Sequence[RunRecord], theirs: Sequence[RunRecord]
) -> list[tuple[RunRecord, RunRecord]]:
    by_seed = {record.seed: record for record in theirs}
    return [(record, by_seed[record.seed]) for record in ours if record.seed in by_seed]


def _times(ours: Sequence[RunRecord], theirs: Sequence[RunRecord]) -> str:
    seconds = [
        [r.summary["seconds"] for r in records if not r.diverged and r.summary.get("seconds")]
        for records in (ours, theirs)
    ]
    if not all(seconds) or not fmean(seconds[0]):
        return MISSING
    return f"{fmean(seconds[1]) / fmean(seconds[0]):.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or 2 where there is nothing to compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("a")
    parser.add_argument("b")
    options = parser.parse_args(arguments)
    try:
        frame = compare(parse_side(options.a), parse_side(options.b))
    except CompareError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"A: {options.a}   B: {options.b}\n")
    print(tables.to_markdown(frame))
    print(f"\n{NOTE}")
    return 0


NOTE = (
    "Verdict: means further apart than two standard deviations, pooled from both sets (and from "
    "independent reproductions where runs are few). Same seed: mean difference over common seeds. "
    "Equal curves: every metric is the same to the last digit. Times are those of training."
)


if __name__ == "__main__":
    sys.exit(main())
