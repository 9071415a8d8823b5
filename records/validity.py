"""What a summary has to hold before anything is made of it; records come from anywhere."""

import math
import re
from collections.abc import Mapping
from typing import Any

PRESETS = ("paper", "tenth", "short", "smoke", "imagenette")
STATUSES = ("finished", "diverged")
EXPERIMENT = re.compile(r"\w+/\w+/\w+", re.ASCII)
DATASET = re.compile(r"\w+", re.ASCII)
SUFFIX = re.compile(r"(\+[\w.=-]+)*", re.ASCII)
ERRORS = ("last", "best", "at_best_val", "exported")


def mistake(summary: Mapping[str, Any]) -> str | None:
    """What is wrong with a summary, if anything.

    Raises:
        KeyError: something is not there at all.
    """
    for key, allowed in (("preset", PRESETS), ("status", STATUSES)):
        if summary[key] not in allowed:
            return f"{key} is none of {', '.join(allowed)}"
    for key in ("seed", "iterations", "params"):
        if not _is_count(summary[key]):
            return f"{key} is no number"
    if fault := _name_mistake(summary):
        return fault
    errors = [summary["test_error"][name] for name in ERRORS] + [summary["train_error"]]
    if not all(error is None or _is_number(error) for error in errors):
        return "an error is no number"
    if summary["status"] == "finished" and summary["test_error"]["last"] is None:
        return "it has no test error"
    for key in ("recipe", "data"):
        if not isinstance(summary[key], str):
            return f"{key} is no hash"
    return _machine_mistake(summary)


def _name_mistake(summary: Mapping[str, Any]) -> str | None:
    run, row, dataset = (str(summary[key]) for key in ("run", "experiment", "dataset"))
    tail = f"/{dataset}/seed{summary['seed']}"
    suffix = run.removeprefix(row).removesuffix(tail)
    named = EXPERIMENT.fullmatch(row) and DATASET.fullmatch(dataset) and SUFFIX.fullmatch(suffix)
    return None if named and run == f"{row}{suffix}{tail}" else "its names do not fit together"


def _machine_mistake(summary: Mapping[str, Any]) -> str | None:
    """Of what is said of the machine, which may be missing."""
    if summary.get("device") is not None and not _is_number(summary.get("seconds")):
        return "seconds is no number"
    for key in ("seconds", "images_per_second"):
        if summary.get(key) is not None and not _is_number(summary[key]):
            return f"{key} is no number"
    for key in ("runs_at_once", "processes"):
        if summary.get(key) is not None and not (_is_count(summary[key]) and summary[key] > 0):
            return f"{key} is no number"
    for key in ("device", "driver", "engine", "precision", "torch", "commit", "weights"):
        if not isinstance(summary.get(key), str | None):
            return f"{key} is no text"
    return None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
