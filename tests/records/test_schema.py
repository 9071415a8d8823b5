"""Which summaries are valid, and what is said of the others."""

import json
from typing import Any

import pytest

from records.files import ROOT
from records.schema import mistake

RUN = "he2015_residual/table6/resnet20/cifar10_aug/seed0"
SUMMARY = json.loads((ROOT / "results" / "runs" / RUN / "summary.json").read_text(encoding="utf-8"))
ERRORS = SUMMARY["test_error"]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"test_loss": 1e30, "train_loss": None},  # about to diverge
        {"status": "diverged", "test_error": dict.fromkeys(ERRORS), "train_error": None},
        {"run": RUN.replace("resnet20", "resnet20+model.order=original+recipe.lr=0.2")},
        {"device": None, "seconds": None},
        {"engine_reason": "x" * 300, "damaged": 3, "teacher": "0" * 64},
        {"clean": None, "commit": None},
    ],
)
def test_what_a_run_may_write(change: dict[str, Any]) -> None:
    assert mistake(SUMMARY | change) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"café\n": 1}, "caf\\xe9\\n: an unknown key"),
        ({"seed": ...}, "seed: it is missing"),
        ({"seed": True}, "seed: Input should be a valid integer"),
        ({"iterations": 1e3}, "iterations: Input should be a valid integer"),
        ({"iterations": 10**15 + 1}, "iterations: Input should be less than or equal to 10000000"),
        ({"train_loss": float("nan")}, "train_loss: Input should be a finite number"),
        ({"seconds": -1.0}, "seconds: Input should be greater than or equal to 0"),
        ({"bn_batch": 0}, "bn_batch: Input should be greater than or equal to 1"),
        ({"params": -1}, "params: Input should be greater than or equal to 0"),
        ({"status": "stopped"}, "status: Input should be 'finished' or 'diverged'"),
        ({"preset": "mine"}, "preset: Input should be 'paper', 'tenth'"),
        ({"test_error": ERRORS | {"last": 101}}, "test_error.last: Input should be less than"),
        ({"test_error": ERRORS | {"best": -0.1}}, "test_error.best: Input should be greater than"),
        ({"test_error": ERRORS | {"last": None}}, "it has no test error"),
        ({"test_error": ERRORS | {"worst": 9.0}}, "test_error.worst: an unknown key"),
        ({"train_loss": "0.1"}, "train_loss: Input should be a valid number"),
        ({"seconds": None}, "it has no seconds"),
        ({"device": "\x1b[2J"}, "device: should be plain text"),
        ({"commit": "x" * 201}, "commit: String should have at most 200 characters"),
        ({"dataset": "../cifar10"}, "dataset: String should match pattern"),
        ({"run": RUN.replace("seed0", "seed1")}, f"the run is not named {RUN}"[:60]),
        ({"run": RUN.replace("resnet20", "resnet20/../x")}, "the run is not named"),
        ({"run": RUN + "\n"}, "the run is not named"),
        ({"code": "0123456789abcdef"}, "code: Input should be a valid list"),
    ],
)
def test_what_is_wrong_is_named_on_a_line(change: dict[str, Any], said: str) -> None:
    summary = {key: value for key, value in (SUMMARY | change).items() if value is not ...}
    found = mistake(summary)
    assert found is not None and found.startswith(said)
    assert found.isascii() and found.isprintable() and len(found) <= 200


@pytest.mark.parametrize("summary", [None, [], 3, "text", {}])
def test_no_summary_at_all(summary: Any) -> None:
    assert mistake(summary)
