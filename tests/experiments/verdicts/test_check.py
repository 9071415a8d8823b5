"""`make check`: which records may enter a table, and which contradict themselves."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from experiments.verdicts import check
from experiments.verdicts.ask_eval import quoted
from experiments.verdicts.loading import load, records_of
from experiments.verdicts.records import RunRecord
from records.files import ROOT
from records.names import KEPT, results
from records.record import RecordError
from tests.conftest import real
from tests.sealed import seal
from training.settings.network import build_model
from training.settings.settings import Settings
from training.weights.export import export

GOLDEN = ROOT / "tests" / "golden" / "runs"
RUN = "he2015_residual/table6/resnet20/cifar10_aug/seed0"


@pytest.fixture
def changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunRecord]:
    """The made record of a run with other values in its summary, as the only one in results."""
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "none"))
    folder = tmp_path / "results" / "runs" / RUN
    shutil.copytree(GOLDEN / RUN, folder)

    def change(**values: Any) -> RunRecord:
        seal(folder, **values)
        return load(folder)

    return change


def test_a_full_record_counts(changed: Callable[..., RunRecord]) -> None:
    assert not changed().objections and changed().counts


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"preset": "short"}, r"shortened run \(preset short\)"),
        ({"recipe": "0123456789abcdef"}, "configuration is not the row's"),
        ({"iterations": 63999}, "63,999 of 64,000 iterations"),
        ({"data": "0123456789abcdef"}, "its data differ"),
        ({"clean": False}, "not committed"),
        ({"damaged": 3}, "left out 3 damaged images"),
        ({"run": RUN.replace("resnet20", "resnet20+precision=bf16")}, "changed by overrides"),
        ({"dataset": "svhn", "run": RUN.replace("cifar10_aug", "svhn")}, "not trained on this"),
    ],
)
def test_why_a_record_does_not_count(
    values: dict[str, Any], reason: str, changed: Callable[..., RunRecord]
) -> None:
    record = changed(**values)
    assert not record.counts
    with pytest.raises(AssertionError, match=reason):
        assert not record.objections, record.objections


def test_a_run_that_diverged_counts_however_early(changed: Callable[..., RunRecord]) -> None:
    assert changed(status="diverged", iterations=391).counts


def test_the_made_records_are_consistent(
    changed: Callable[..., RunRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    changed()
    assert check.main() == 0
    assert "1 records, 1 enter a table; problems: 0." in capsys.readouterr().out


@pytest.mark.parametrize(("used", "bad"), [(["a", "b"], 0), (["a"], 1), (None, 0)])
def test_code_that_is_not_of_its_commit(
    used: Any, bad: int, changed: Callable[..., RunRecord], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """As the commit has it, `b` is the code."""
    monkeypatch.setattr(check, "committed_hash", lambda commit: "b")
    changed(code=used, clean=None)
    assert check.main() == bad
    assert ("its code (a) is not that of its commit (b)" in capsys.readouterr().out) == bool(bad)


def test_damage_is_listed_and_the_rest_is_checked(
    changed: Callable[..., RunRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    record = changed()
    for name in ("seed1", "seed2", "seed3"):
        shutil.copytree(record.folder, record.folder.with_name(name))
    (record.folder.with_name("seed1") / "summary.json").write_text("{")
    (record.folder.with_name("seed2") / "metrics.csv").unlink()
    assert check.main() == 1
    printed = capsys.readouterr().out
    assert printed.count("damaged") >= 2
    assert "holds the record of" in printed
    assert "4 records" in printed and "problems: 3" in printed


def test_an_error_that_metrics_do_not_show(
    changed: Callable[..., RunRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    errors = changed().summary["test_error"]
    for which in ("last", "best"):
        changed(test_error=errors | {which: 0.01})
        assert check.main() == 1
        assert f"the test error ({which}) is 8.4000 in metrics.csv" in capsys.readouterr().out


def test_an_error_at_the_best_validation_that_metrics_do_not_show(
    changed: Callable[..., RunRecord],
) -> None:
    """Which is neither the last nor the lowest test error."""
    record = changed()
    lines = list(csv.DictReader((record.folder / "metrics.csv").open(encoding="utf-8", newline="")))
    for line, val, test in zip(lines[-4:], (8, 5, 6, 7), (9.5, 9, 7, 8.4), strict=True):
        line |= {"val_loss": "1", "val_error": str(val), "test_error": str(test)}
    with (record.folder / "metrics.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    errors = record.summary["test_error"] | {"best": 7.0}
    fault = "the test error (at_best_val) is 9.0000 in metrics.csv"
    for said, faults in ((9.0, []), (7.0, [fault])):
        assert check.metrics_faults(changed(test_error=errors | {"at_best_val": said})) == faults


@pytest.mark.parametrize(
    "values",
    [
        {"seconds": "x", "device": "a GPU"}, {"device": "a GPU"}, {"device": ["a"], "seconds": 1.0},
        {"runs_at_once": "2"}, {"runs_at_once": 0}, {"train_error": float("nan")},
        {"preset": "paper; id"}, {"status": "ended"}, {"seed": True}, {"iterations": -1},
        {"experiment": "he2015_residual/table6/resnet20 $(id)"}, {"dataset": "a/b"},
        {"run": RUN.replace("resnet20", "resnet32")}, {"test_error": 8.4}, {"recipe": None},
        {"run": "a/b/ë/cifar10_aug/seed0", "experiment": "a/b/ë"},
        {"test_error": {"last": float("nan"), "best": 8.4, "at_best_val": None, "exported": 8.4}},
        {"test_error": {"last": None, "best": 8.4, "at_best_val": None, "exported": 8.4}},
    ],
    ids=str,
)  # fmt: skip
def test_a_summary_of_anything_is_no_record(
    values: dict[str, Any], changed: Callable[..., RunRecord]
) -> None:
    with pytest.raises(RecordError, match=r"summary\.json is missing, damaged"):
        changed(**values)


def test_metrics_that_do_not_fit_the_summary(
    changed: Callable[..., RunRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    record = changed()
    path = record.folder / "metrics.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    seal(record.folder)
    assert check.main() == 1
    assert "metrics.csv ends at iteration" in capsys.readouterr().out


def test_shipped_weights_are_compared_by_checksum(
    changed: Callable[..., RunRecord],
    settings_of: Callable[..., Settings],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = build_model(settings_of("experiment=he2015_residual/table6/resnet20"))
    path = tmp_path / "results" / "weights" / f"{RUN}.safetensors"
    changed(weights=export(model.state_dict(), path))
    assert check.main() == 0
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert check.main() == 1
    assert "is not the file that was recorded" in capsys.readouterr().out


@pytest.mark.parametrize("preset", KEPT)
def test_no_committed_record_contradicts_itself(
    preset: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """But for its weights' error, which `make check` measures where the data are."""
    monkeypatch.delenv("RESULTS_DIR", raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert sum(path.stat().st_size for path in results().rglob("*.safetensors")) < check.SHIPPED
    records = records_of(preset)
    assert records and not [fault for record in records for fault in check.contradictions(record)]


@pytest.mark.slow
def test_every_shipped_file_errs_as_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make check`, where the data are."""
    monkeypatch.setenv("DATA_DIR", str(real("cifar10")))
    monkeypatch.delenv("RESULTS_DIR", raising=False)
    assert check.main() == 0


@pytest.mark.parametrize("text", ["a+precision=bf16/b", "it's, [here] = (1)", "back\\slash"])
def test_any_path_can_be_given_to_eval_py(text: str) -> None:
    parsed = OverridesParser.create().parse_override(f"run={quoted(text)}")
    assert parsed.value() == text


def test_shipped_weights_are_evaluated_where_the_data_are(
    changed: Callable[..., RunRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the comparison: that eval.py gives the recorded error is tested with real runs."""
    weights = tmp_path / "results" / "weights" / f"{RUN}.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    changed(weights="9a4fe3a3aa4de3d5d0d5a3ae6c7d6a2b")
    digest = check.hashlib.sha256(b"weights").hexdigest()
    record = changed(weights=digest)
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "cifar10.npz").touch()
    recorded = record.error("exported")
    assert recorded is not None
    for error, code in ((recorded + 0.01, 0), (recorded + 0.03, 1), (None, 1)):
        monkeypatch.setattr(check, "test_error", lambda *_, error=error: (error, "why"))
        assert check.main() == code
    # As exported, but more than 0.2 points from where training ended.
    monkeypatch.setattr(check, "test_error", lambda *_: (recorded, ""))
    for distance, code in ((0.19, 0), (0.22, 1)):
        last = {"last": recorded + distance, "best": recorded + distance}
        changed(test_error=record.summary["test_error"] | last)
        path = record.folder / "metrics.csv"
        *lines, line = path.read_text().splitlines()
        cells = line.split(",")
        cells[-2] = str(recorded + distance)
        path.write_text("\n".join([*lines, ",".join(cells)]) + "\n")
        seal(record.folder)
        assert check.main() == code


def test_weights_of_no_record_and_too_many_are_named(
    changed: Callable[..., RunRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    changed()
    path = tmp_path / "results" / "weights" / f"{RUN.replace('seed0', 'seed7')}.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    monkeypatch.setattr(check, "SHIPPED", 6)
    assert check.main() == 1
    printed = capsys.readouterr().out
    assert "belongs to no record" in printed and "at most 0 MB may be shipped" in printed
