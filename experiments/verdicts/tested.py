"""Tests of networks on photographs as in a paper: ten crops, several scales or a larger crop.

`eval.py run=<record> protocol=... save=true` saves the result in the record, with the checksum of
the weights and the fingerprint of the photographs, which show that it belongs there.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from experiments.papers import published
from experiments.verdicts.records import RunRecord
from records.files import no_pipe
from records.record import RecordError

ERRORS = ("test_error", "test_error_top5")
SINGLE = "single"  # the centre crop, which training itself evaluates: only the top-5 error is new
WHOLE = ("data", "weights")  # where a test and its record must agree


def tested(record: RunRecord, name: str) -> RunRecord | None:
    """The record with the errors of a test in place of those measured in training, and its top-5
    error; None if the test has not been run.

    Raises:
        RecordError: the test's file is damaged, or of other weights or photographs.
    """
    path = record.folder / f"{name}.csv"
    if not path.exists():
        return None
    try:
        line = pd.read_csv(no_pipe(path), dtype=str).iloc[0]
        top1, top5 = (float(line[key]) for key in ERRORS)
        if not all(math.isfinite(error) and 0 <= error <= 100 for error in (top1, top5)):
            raise ValueError("an error is not a percentage")
        if others := [key for key in WHOLE if str(line[key]) != str(record.summary.get(key))]:
            raise ValueError(f"made with other {others[0]} than the record")
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise RecordError(f"{path} is damaged or misplaced ({error}); delete it.") from None
    errors = dict.fromkeys(record.summary["test_error"], top1)
    return replace(record, summary=record.summary | {"test_error": errors, "test_error_top5": top5})


def as_tested(records: Sequence[RunRecord], name: str) -> tuple[list[RunRecord], int]:
    """The records with the errors of a test, as a published line names it, and how many lack it.

    Records that lack it are left out, except diverged ones, which cannot be tested.
    """
    if not name:
        return list(records), 0
    kept: list[RunRecord] = []
    for record in records:
        one = record if record.diverged or name == SINGLE else None
        if not record.diverged:
            try:
                one = tested(record, name) or one
            except RecordError as error:
                print(f"Left out: {error}", file=sys.stderr)
        kept += [] if one is None else [one]
    return kept, len(records) - len(kept)


def results(record: RunRecord) -> tuple[dict[str, RunRecord], list[str]]:
    """The tests that a record holds, by name, and what is wrong with the others."""
    by_name, faults = dict[str, RunRecord](), list[str]()
    for name in published.tests():
        try:
            if one := tested(record, name):
                by_name[name] = one
        except RecordError as error:
            faults.append(str(error))
    return by_name, faults
