"""Validation of summaries before use: records may come from anywhere."""

import math
import re
from collections.abc import Mapping
from typing import Any

PRESETS = ("paper", "tenth", "short", "smoke", "imagenette")
STATUSES = ("finished", "diverged")
EXPERIMENT = re.compile(r"\w+/\w+/\w+", re.ASCII)
DATASET = re.compile(r"\w+", re.ASCII)
SUFFIX = re.compile(r"(\+[\w.=-]+)*", re.ASCII)
# Every key of a summary; `made` marks artificial records, such as those of the tests.
KNOWN = frozenset((
    "version", "run", "experiment", "status", "dataset", "seed", "preset", "iterations", "params",
    "macs", "test_error", "test_loss", "train_loss", "train_error", "seconds",
    "images_per_second", "peak_memory_bytes", "device", "driver", "threads", "torch", "precision",
    "processes", "bn_batch", "runs_at_once", "engine", "engine_reason", "deterministic", "damaged",
    "code", "commit", "clean", "data", "recipe", "teacher", "weights", "made", "checksum",
))  # fmt: skip
HASH = re.compile(r"\w+", re.ASCII)
LONGEST = 200  # characters of a string
MOST = 10**15  # largest plausible count or number
ERRORS = ("last", "best", "at_best_val", "exported")


def mistake(summary: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a summary, or None if it is valid.

    Raises:
        KeyError: a required key is missing.
    """
    if unknown := set(summary) - KNOWN:
        return f"it has an unknown key ({ascii(min(unknown))[:LONGEST]})"
    for key, allowed in (("preset", PRESETS), ("status", STATUSES)):
        if summary[key] not in allowed:
            return f"{key} is not one of {', '.join(allowed)}"
    for key in ("seed", "iterations", "params"):
        if not _is_count(summary[key]):
            return f"{key} is not a valid number"
    if fault := _name_mistake(summary):
        return fault
    errors = [summary["test_error"][name] for name in ERRORS] + [summary["train_error"]]
    if not all(error is None or (_is_number(error) and 0 <= error <= 100) for error in errors):
        return "an error is not a percentage"
    if summary["status"] == "finished" and summary["test_error"]["last"] is None:
        return "it has no test error"
    for key in ("recipe", "data"):
        if not (isinstance(summary[key], str) and HASH.fullmatch(summary[key])):
            return f"{key} is not a hash"
    return _machine_mistake(summary)


def _name_mistake(summary: Mapping[str, Any]) -> str | None:
    run, row, dataset = (str(summary[key]) for key in ("run", "experiment", "dataset"))
    tail = f"/{dataset}/seed{summary['seed']}"
    suffix = run.removeprefix(row).removesuffix(tail)
    named = EXPERIMENT.fullmatch(row) and DATASET.fullmatch(dataset) and SUFFIX.fullmatch(suffix)
    return None if named and run == f"{row}{suffix}{tail}" else "its names do not match"


def _machine_mistake(summary: Mapping[str, Any]) -> str | None:
    """The first mistake in the fields about the machine, all of which may be missing."""
    if summary.get("device") is not None and not _is_number(summary.get("seconds")):
        return "seconds is not a valid number"
    for key in ("seconds", "images_per_second"):
        if summary.get(key) is not None and not _is_number(summary[key]):
            return f"{key} is not a valid number"
    for key in ("runs_at_once", "processes"):
        if summary.get(key) is not None and not (_is_count(summary[key]) and summary[key] > 0):
            return f"{key} is not a valid number"
    for key in ("device", "driver", "engine", "precision", "torch", "commit", "weights"):
        text = summary.get(key)
        # No control characters, which a terminal would interpret or a page could not show.
        if text is not None and not (
            isinstance(text, str) and text.isprintable() and len(text) <= LONGEST
        ):
            return f"{key} is not plain text"
    return None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= MOST and math.isfinite(value)
