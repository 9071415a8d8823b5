"""Why the numbers of a run may enter no table."""

import csv
from collections.abc import Mapping
from functools import cache
from typing import Any

from records.files import ROOT
from records.names import KEPT, run_name


def objections(run: Mapping[str, Any]) -> list[str]:
    """Why the numbers of a run may enter no table of its preset; empty if they may.

    The row's recipe must run on the preset's schedule, unchanged by overrides or edits, to its end
    or to a non-finite loss, with committed code, on the right, undamaged data (if their
    fingerprint is known: SVHN's is not yet).

    Args:
        run: its summary, or what is known of it before it starts: all but the status, the
            iterations and the damaged images.
    """
    experiment, dataset, preset = (str(run[key]) for key in ("experiment", "dataset", "preset"))
    if preset not in KEPT:
        return [f"a shortened run (preset {preset})"]
    if run["run"] != run_name(experiment, (), dataset, run["seed"]):
        return ["its row was changed by overrides, so it belongs to no table"]
    row = _rows(preset).get((experiment, dataset))
    if row is None:
        return ["its row is not trained on this data set by any table"]
    reasons = []
    if run["recipe"] != row["hash"]:
        reasons.append(
            f"its configuration is not the row's as counted by `make architecture` "
            f"({run['recipe']}, not {row['hash']})"
        )
    done, due = run.get("iterations"), int(row["iterations"])
    if done is not None and done != due and run["status"] != "diverged":
        reasons.append(f"it ran {done:,} of {due:,} iterations")
    known = _fingerprints().get(dataset) or run["data"]
    if run["data"] != known:
        reasons.append(f"its data differ ({run['data']}, not {known})")
    if run.get("damaged"):
        reasons.append(f"it left out {run['damaged']} damaged images")
    if run.get("clean") is False:
        reasons.append("its code has changes that are not committed")
    return reasons


@cache
def _rows(preset: str) -> dict[tuple[str, str], dict[str, str]]:
    """What each row trains on each of its data sets; experiments/papers/rows.py checks the file."""
    with (ROOT / "results" / KEPT[preset] / "rows.csv").open(encoding="utf-8", newline="") as file:
        return {(row["experiment"], row["dataset"]): row for row in csv.DictReader(file)}


@cache
def _fingerprints() -> dict[str, str]:
    """The fingerprint of each data set of the papers; empty if it is not known."""
    with (ROOT / "results/paper/datasets.csv").open(encoding="utf-8", newline="") as file:
        return {row["dataset"]: row["fingerprint"] for row in csv.DictReader(file)}
