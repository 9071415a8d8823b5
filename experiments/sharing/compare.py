"""Compare two sets of records, e.g. of two machines or precisions: `make compare A= B=`.

A set is a results folder, or a folder of runs, followed by overrides for runs that were given them:

    make compare A=results B=../elsewhere/results
    make compare A=results/tenth B=results/tenth+precision=bf16
    make compare A=outputs/runs/short B=outputs/runs/short+recipe.lr=0.05+recipe.batch=64
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

import pandas as pd

from experiments.papers import datasets
from experiments.tables.cells import MISSING
from experiments.tables.terminal import print_table, say
from experiments.verdicts.aggregate import Measured, aggregate
from experiments.verdicts.inference import Prior
from experiments.verdicts.loading import load, load_all
from experiments.verdicts.priors import error_sample, measured_errors, prior_of
from experiments.verdicts.records import METRICS, RunRecord
from experiments.verdicts.verdict import compare as rule
from records.command import CommandError, argument_parser, guarded
from records.names import KEPT, SUMMARY, run_name
from records.record import RecordError

Key = tuple[str, str, str, str]  # row, data set, preset, fingerprint of the data
Pairs = list[tuple[RunRecord, RunRecord]]  # one pair for each seed that both sets have

# What else may differ between two sets of runs of a row.
ALIKE = {
    "configuration": "recipe", "iterations": "iterations", "code": "code", "device": "device",
    "runs at once": "runs_at_once", "processes": "processes",
}  # fmt: skip
# B against A, as ours against the paper's.
WORDS = {"reproduced": "near", "better": "B is lower", "worse": "A is lower",
         "undecided": "undecided"}  # fmt: skip
NOTE = (
    "Verdict: B's mean is near A's if the 90 % interval of the difference lies within the margin "
    "of the tables; B or A is lower if the 95 % interval excludes 0; otherwise it is undecided. "
    "There is none for a schedule shorter than a tenth, and on data that no paper uses. Same seed: "
    "mean difference over common seeds. Equal curves: how many of those seeds give the same "
    "metrics to the last digit."
)


def records_of(side: str) -> dict[Key, list[RunRecord]]:
    """Load the intact records of `FOLDER[+override...]` by `Key`; report the others on stderr.

    Raises:
        CommandError: there are none.
    """
    name, *overrides = re.split(r"\+(?=[\w.]+=)", side)
    folder, wanted = Path(name or "results"), variant(run_name("", overrides, "", 0), "")
    if not side or not folder.is_dir():
        what = f"{side} is not a folder of records" if side else "B= is missing"
        raise CommandError(f"{what}; name a folder of records, such as B=../elsewhere/results.")
    runs = folder / "runs" if (folder / "runs").is_dir() else folder
    check_folder(runs)
    by_key: dict[Key, list[RunRecord]] = {}
    others = set()
    for record in load_all(runs):
        if (given := variant(record.run, record.experiment)) != wanted:
            others.add(given or "without overrides")
            continue
        measures = str(record.summary["preset"]), str(record.summary["data"])
        by_key.setdefault((record.experiment, record.dataset, *measures), []).append(record)
    if not by_key:
        what = f" of a run with {wanted[1:]}" if wanted else ""
        there = f", but of runs {', '.join(sorted(others)[:8])}" if others else ""
        raise CommandError(f"{folder} holds no record{what}{there}.")
    return by_key


def check_folder(runs: Path) -> None:
    """Raise a CommandError for a part of a folder of runs, or for a folder of such folders."""
    first = min(runs.rglob(SUMMARY), default=None)
    if first is None:
        return
    try:
        run, place = load(first.parent).run, first.parent.relative_to(runs).as_posix()
    except RecordError:
        return  # reported with the others
    if place.endswith(f"/{run}"):
        inner = runs / place.removesuffix(f"/{run}")
        raise CommandError(f"{runs} holds folders of runs; name one of them, such as {inner}.")
    if run.endswith(f"/{place}"):
        outer = runs.parents[run.count("/") - place.count("/") - 1]
        raise CommandError(f"{runs} is a part of a folder of runs; name the whole, {outer}.")


def variant(run: str, experiment: str) -> str:
    """The overrides in the name of a run: `+key=value` for each."""
    return run.removeprefix(experiment).split("/")[0]


def compare(a: str, b: str) -> pd.DataFrame:
    """Compare two sets, one line for each row that both have measured.

    Raises:
        CommandError: a set is empty, or no row is in both.
    """
    first, second = records_of(a), records_of(b)
    # The rows of each set by themselves: a spread that held the difference would hide it.
    priors = {
        preset: prior_of("test_error", preset, [
            runs for rows in (first, second) for key, runs in rows.items() if key[2] == preset
        ])
        for preset in KEPT
    }  # fmt: skip
    both = (key for key in first if key in second)
    lines = [_line(key, first[key], second[key], priors.get(key[2])) for key in both]
    if not lines:
        raise CommandError(f"{a} and {b} share no row (with the same schedule and data).")
    return pd.DataFrame(lines)


def _line(
    key: Key, first: list[RunRecord], second: list[RunRecord], prior: Prior | None
) -> dict[str, str]:
    """Compare a row; without a prior, as for shortened runs, no difference is decided."""
    experiment, dataset, preset, data = key
    one, other = aggregate(first, "last"), aggregate(second, "last")
    gap = None if one.value is None or other.value is None else other.value - one.value
    by_seed = {record.seed: record for record in second}
    pairs = [(record, by_seed[record.seed]) for record in first if record.seed in by_seed]
    equal = sum(_alike(*pair) for pair in pairs)
    # What differs besides the seed and might matter.
    values = {name: {repr(r.summary.get(key)) for r in (*first, *second)}
              for name, key in ALIKE.items()}  # fmt: skip
    unlike = [name for name, different in values.items() if len(different) > 1]
    identical = equal == len(first) == len(second)
    return {
        "Row": experiment,
        "Data": _data(dataset, data),
        "Preset": preset,
        "A (%)": _mean(one),
        "B (%)": _mean(other),
        "B - A": MISSING if gap is None else f"{gap:+.2f}",
        "Verdict": "identical" if identical else _verdict(key, first, second, prior),
        "Same seed": _paired(pairs),
        "Equal curves": f"{equal} of {len(pairs)}" if pairs else MISSING,
        "Not the same": ", ".join(unlike) or MISSING,
    }


def _data(dataset: str, fingerprint: str) -> str:
    """The short name of a data set, with the fingerprint if it is not the published one."""
    known = datasets.of(dataset)
    is_known = known.fingerprint in (None, fingerprint)
    return known.short if is_known else f"{known.short}, {fingerprint}"


def _verdict(
    key: Key, first: Sequence[RunRecord], second: Sequence[RunRecord], prior: Prior | None
) -> str:
    """The verdict on B against A, over the runs that train: see `NOTE`."""
    dataset, values = key[1], [measured_errors("test_error", runs) for runs in (first, second)]
    if not all(values):
        return "one fails" if any(values) else "both fail"
    if prior is None or dataset not in datasets.known():  # whose number of test images is unknown
        return MISSING
    one, other = (error_sample(errors, dataset, prior) for errors in values)
    return WORDS[rule(other, one, datasets.of(dataset).margin, printed=False)]


def _mean(measured: Measured) -> str:
    if measured.value is None:
        return f"fail ({measured.failed})"
    text = f"{measured.value:.2f}"
    text += "" if measured.std is None else f" ± {measured.std:.2f}"
    failed = f", {measured.failed} failed" if measured.failed else ""
    return f"{text} (n = {measured.runs}{failed})"


def _paired(pairs: Pairs) -> str:
    """Mean difference over common seeds, with its standard deviation."""
    errors = [(one.error("last"), other.error("last")) for one, other in pairs]
    gaps = [second - first for first, second in errors if first is not None and second is not None]
    if not gaps:
        return MISSING
    return f"{fmean(gaps):+.2f}" + (f" ± {stdev(gaps):.2f}" if len(gaps) > 1 else "")


def _alike(one: RunRecord, other: RunRecord) -> bool:
    """Whether two runs gave the same metrics to the last digit; times may differ."""
    curves = [record.metrics()[list(METRICS)] for record in (one, other)]
    return one.error("last") == other.error("last") and curves[0].equals(curves[1])


@guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or 2 if there is nothing to compare."""
    parser = argument_parser(__doc__)
    parser.add_argument("a")
    parser.add_argument("b")
    options = parser.parse_args(arguments)
    frame = compare(options.a, options.b)
    print(f"A: {options.a}   B: {options.b}\n")
    print_table(frame)
    print()
    say(NOTE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
