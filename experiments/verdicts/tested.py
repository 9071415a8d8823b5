"""Networks on photographs as a paper tests them: by ten crops, several scales or a larger crop.

`eval.py run=<record> protocol=... save=true` notes the result in the record, with the checksum of
the weights and the fingerprint of the photographs, by which it is known to belong there.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from experiments.papers import published
from experiments.verdicts.records import RunRecord
from records import validity
from records.files import no_pipe
from records.record import RecordError

ERRORS = ("test_error", "test_error_top5")
SINGLE = "single"  # the centre crop, which training itself evaluates: only the top-5 error is new
WHOLE = ("data", "weights")  # what a test and the record have to agree on


def tested(record: RunRecord, name: str) -> RunRecord | None:
    """The record with the errors of a test in place of those of training, and the top-5 error
    beside them; None where nobody has made the test.

    Raises:
        RecordError: its file is damaged, or of other weights or photographs.
    """
    path = record.folder / f"{name}.csv"
    if not path.exists():
        return None
    try:
        line = pd.read_csv(no_pipe(path), dtype=str).iloc[0]
        top1, top5 = (float(line[key]) for key in ERRORS)
        if not all(math.isfinite(error) and 0 <= error <= 100 for error in (top1, top5)):
            raise ValueError("an error is no percentage")
        if others := [key for key in WHOLE if str(line[key]) != str(record.summary.get(key))]:
            raise ValueError(f"of other {others[0]} than the record")
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise RecordError(f"{path} is damaged or strange ({error}); delete it.") from None
    errors = dict.fromkeys(validity.ERRORS, top1)
    return replace(record, summary=record.summary | {"test_error": errors, "test_error_top5": top5})


def as_tested(records: Sequence[RunRecord], name: str) -> tuple[list[RunRecord], int]:
    """The records with the errors of a test, as a published line names it, and how many lack it.

    What lacks it is left out; where training failed no test can follow.
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
    """Every test that a record holds, by its name, and what is wrong with others."""
    by_name, faults = dict[str, RunRecord](), list[str]()
    for name in published.tests():
        try:
            if one := tested(record, name):
                by_name[name] = one
        except RecordError as error:
            faults.append(str(error))
    return by_name, faults
