"""Why the numbers of a run may enter no table."""

from collections.abc import Mapping
from typing import Any, Protocol

from records.names import KEPT, run_name


class Row(Protocol):
    """What a row trains on a data set, as counted by `make architecture`."""

    @property
    def hash(self) -> str: ...
    @property
    def iterations(self) -> int: ...


def objections(run: Mapping[str, Any], row: Row | None, fingerprint: str | None) -> list[str]:
    """Why the numbers of a run may enter no table of its preset; empty if they may.

    The row's recipe must run on the preset's schedule, unchanged by overrides or edits, to its end
    or to a non-finite loss, with committed code, on the right, undamaged data.

    Args:
        run: its summary, or what is known of it before it starts: all but the status, the
            iterations and the damaged images.
        row: its row as counted for its data set and preset; None if no table trains it.
        fingerprint: of the right data, if known: that of SVHN is not yet.
    """
    if run["preset"] not in KEPT:
        return [f"a shortened run (preset {run['preset']})"]
    if run["run"] != run_name(run["experiment"], (), run["dataset"], run["seed"]):
        return ["its row was changed by overrides, so it belongs to no table"]
    if row is None:
        return ["its row is not trained on this data set by any table"]
    reasons = []
    if run["recipe"] != row.hash:
        reasons.append(
            "its configuration is not the row's as counted by `make architecture` "
            f"({run['recipe']}, not {row.hash})"
        )
    done = run.get("iterations")
    if done not in (None, row.iterations) and run["status"] != "diverged":
        reasons.append(f"it ran {done:,} of {row.iterations:,} iterations")
    if run["data"] != (fingerprint or run["data"]):
        reasons.append(f"its data differ ({run['data']}, not {fingerprint})")
    if run.get("damaged"):
        reasons.append(f"it left out {run['damaged']} damaged images")
    if run.get("clean") is False:
        reasons.append("its code has changes that are not committed")
    return reasons
