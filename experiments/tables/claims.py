"""The papers' claims as comparisons, decided by records: `make claims`.

Claims are data, in results/paper/claims.yaml. The 95 % interval of the difference decides whether a
comparison holds; for one that stays open, the number of seeds that would decide it is given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from experiments.papers.claims import Claim, rows_in
from experiments.papers.conf import preset_scale
from experiments.tables.cells import MISSING
from experiments.tables.sheets import Sheet
from experiments.tables.tables import scaled_note
from experiments.verdicts.inference import Sample, difference, seeds_to_decide, seeds_to_pass
from experiments.verdicts.measure import EXACT, Row, prior_of_measure, row_of
from experiments.verdicts.records import RunRecord, counting
from records.names import FULL

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"
INCOMPLETE, NOT_RUN = "incomplete", "not run"  # some rows have not run, or none has
NEEDS_FULL = "needs the full schedule"


@dataclass(frozen=True)
class Finding:
    """What records say about a comparison: whether it holds (None: undecided), its numbers, and
    whether a row that it needs has not run."""

    holds: bool | None
    numbers: str
    missing: bool = False


@dataclass(frozen=True)
class Judged:
    """A claim, and what records say about each of its comparisons."""

    claim: Claim
    findings: Sequence[Finding]

    @property
    def verdict(self) -> str:
        """A claim fails with any one comparison, and holds if all hold."""
        if any(finding.holds is False for finding in self.findings):
            return FAILS
        if all(finding.holds for finding in self.findings):
            return HOLDS
        pairs = zip(self.findings, self.claim.comparisons, strict=True)
        measured = [finding.numbers for finding, asked in pairs if asked.get("of") not in EXACT]
        if not {*measured} - {"", NEEDS_FULL}:
            return NEEDS_FULL if NEEDS_FULL in measured else NOT_RUN
        return INCOMPLETE if any(finding.missing for finding in self.findings) else UNDECIDED

    @property
    def numbers(self) -> str:
        """The numbers of all comparisons, or a dash if there are none."""
        told = dict.fromkeys(finding.numbers for finding in self.findings if finding.numbers)
        return MISSING if told.keys() <= {NEEDS_FULL} else "; ".join(told)


CLAIMS = "claims"
TITLE = "The papers' claims, and what our runs say about them"
NOTES = (
    "Rows are compared by their means: a comparison is decided if the 95 % interval of the "
    "difference (Welch's) lies on one side. The spread of a row's errors is estimated from its own "
    "runs and from other rows, ours and the papers', which count as up to six further runs, fewer "
    "where rows differ much in their spread (the papers' spreads are of test errors, and stand in "
    "for training errors where we have too few runs). So is that of losses, gradients, responses "
    "and times; where no row has several runs, it is taken as a twentieth of the mean and counts "
    "as one further run, so that single runs decide no less than threefold differences. No "
    "interval is widened for the number of claims: where rows do not differ, about one "
    "comparison in twenty is decided by chance, and more if runs are added until it is: choose "
    "their number beforehand. A row's runs that fail are counted but left out, unless most fail.",
    "Ours: test error in percent unless stated otherwise; the row that a claim says is lower comes "
    "first. *Incomplete*: some rows have not run, and those that have do not contradict the claim.",
)


def judge(
    claimed: Sequence[Claim], records: Sequence[RunRecord], preset: str = FULL
) -> list[Judged]:
    """Decide every claim by the records of a kept preset that count."""
    counted = counting(records, preset)
    return [
        Judged(claim, [find(comparison, counted, preset) for comparison in claim.comparisons])
        for claim in claimed
    ]


def claims_table(judged: Sequence[Judged], preset: str = FULL) -> Sheet:
    """One line per claim: its statement, source, our numbers, and its verdict."""
    lines = [
        {
            "Claim": f"{one.claim.name}: {one.claim.statement}",
            "Source": one.claim.source,
            "Ours": one.numbers,
            "Verdict": one.verdict,
        }
        for one in judged
    ]
    if preset == FULL:
        return Sheet(CLAIMS, TITLE, pd.DataFrame(lines), NOTES)
    title = f"{TITLE} on a {preset} of the schedule"
    return Sheet(CLAIMS, title, pd.DataFrame(lines), (scaled_note(preset), *NOTES))


def find(
    comparison: Mapping[str, Any], records: Sequence[RunRecord], preset: str = FULL
) -> Finding:
    """Decide a comparison. One with a level that a paper states, as of a failure, stays open on any
    schedule but the paper's."""
    if preset != FULL and {"fails", "below", "above"} & comparison.keys():
        return Finding(None, NEEDS_FULL, missing=True)
    of = comparison.get("of", "test_error")
    at = preset_scale(preset) * float(comparison.get("at", 0))
    prior = prior_of_measure(of, preset, records, at)
    rows = [row_of(*row, of, records, prior, at) for row in rows_in(comparison)]
    return decide(comparison, rows)


def decide(comparison: Mapping[str, Any], rows: Sequence[Row]) -> Finding:
    """Decide a comparison by its rows, in the order of `rows_in`."""
    numbers = ", ".join(row.text for row in rows)
    if any(row.missing for row in rows):
        return Finding(None, "" if all(row.missing for row in rows) else numbers, missing=True)
    if "fails" in comparison:
        return Finding(rows[0].failed, numbers)
    if "below" in comparison or "above" in comparison:
        return _level(rows[0], comparison)
    row, other = rows
    if "share" in comparison:
        numbers += "; claimed ratio: {:g} to {:g}".format(*comparison["between"])
    if comparison.get("of") == "seconds" and row.machines != other.machines:
        return Finding(None, f"{numbers} (on different machines)")
    if row.failed or other.failed:
        return Finding(_by_failure(comparison, row, other), numbers)
    assert row.sample and other.sample
    return _pair(comparison, row.sample, other.sample, numbers)


def _by_failure(comparison: Mapping[str, Any], row: Row, other: Row) -> bool | None:
    """Whether a comparison of two rows holds if one or both fail to train; None if undecided."""
    if "lower" in comparison and not (row.failed and other.failed):
        return other.failed
    return False if "near" in comparison and row.failed else None


def _pair(comparison: Mapping[str, Any], row: Sample, other: Sample, numbers: str) -> Finding:
    """Decide whether a row, multiplied by `times`, is below the other, exceeds it by less than
    `within`, or is `between` two multiples of it."""
    if "near" in comparison:
        return _decide(other, row, -float(comparison["within"]), numbers)
    if "share" in comparison:
        least, most = map(float, comparison["between"])
        above = _decide(row, other.times(least), 0.0, numbers)
        below = _decide(other.times(most), row, 0.0, numbers)
        if False in (above.holds, below.holds):
            return Finding(False, numbers)
        return above if above.holds is None else below
    low = row.times(float(comparison.get("times", 1)))
    if comparison.get("of") in EXACT:
        return Finding(other.mean >= low.mean, numbers)
    return _decide(other, low, 0.0, numbers)


def _level(row: Row, comparison: Mapping[str, Any]) -> Finding:
    """Decide whether a row lies below or above a level; a non-finite loss is above any."""
    name = "below" if "below" in comparison else "above"
    limit, wanted = float(comparison[name]), name == "below"
    numbers = f"{row.text}; claimed: {name} {limit:g}"
    if row.sample is None:
        return Finding(not wanted, numbers)
    low, high = row.sample.interval()
    if low < limit <= high:
        seeds = seeds_to_pass(row.sample, limit)
        return Finding(None, f"{numbers} ({seeds} seeds would decide at this mean)")
    return Finding((high < limit) == wanted, numbers)


def _decide(high: Sample, low: Sample, least: float, numbers: str) -> Finding:
    """Decide whether `high` exceeds `low` by `least`; if open, say how many seeds would decide."""
    lower, upper = difference(high, low)
    if lower > least:
        return Finding(True, numbers)
    if upper < least:
        return Finding(False, numbers)
    seeds = seeds_to_decide(high, low, high.mean - low.mean - least)
    return Finding(None, f"{numbers} ({seeds} seeds per row would decide at this difference)")
