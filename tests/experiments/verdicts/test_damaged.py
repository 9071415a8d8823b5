"""Records as untrusted input: what is damaged is named and left out, never read as another."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from experiments import compile, reproduce
from experiments.sharing import compare
from experiments.verdicts import check
from experiments.verdicts.loading import load, survey
from records.exits import BAD_CONFIG, FAILED
from records.files import ROOT
from records.names import CONFIG, METRICS, SUMMARY
from records.record import CHECKSUM, RecordError, checksum

RUN = "he2015_residual/table6/resnet20/cifar10_aug/seed0"
ODD: list[Any] = [
    None, True, -1, 10**400, 1e308, "", "x", [], {}, "\ud800", "\x1b[2J", "x" * 10_000, -0.5, 101,
    [[[]]], {"last": {}}, "nan", 64_001,
]  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "results" / "runs" / RUN, tmp_path / RUN)
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(
        shutil.copytree(
            ROOT / "results" / "runs" / RUN, tmp_path_factory.mktemp("results") / "runs" / RUN
        )
    )


def paths_in(value: Any, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Where something lies in nested mappings."""
    if not isinstance(value, dict):
        return [prefix]
    return [path for key, inner in value.items() for path in paths_in(inner, (*prefix, key))]


def changed(summary: dict, path: tuple[str, ...], value: Any) -> dict:
    copy = json.loads(json.dumps(summary))
    place = copy
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return copy


def test_every_committed_record_has_a_checksum() -> None:
    for path in (ROOT / "results").rglob("summary.json"):
        assert CHECKSUM in json.loads(path.read_text(encoding="utf-8")), path
        load(path.parent)


@given(
    name=st.sampled_from([CONFIG, METRICS, SUMMARY]),
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 6),
)
def test_a_changed_byte_is_seen(name: str, place: float, bit: int, whole: Path) -> None:
    """Anywhere in the record, but for blanks between a summary's words."""
    path, summary = whole / name, json.loads((whole / SUMMARY).read_text())
    before, content = path.read_bytes(), bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(bytes(content))
    try:
        assert load(whole).summary == summary and name == SUMMARY
    except RecordError as error:
        assert str(error).count("\n") < 3
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("value", [*ODD, ...], ids=lambda value: repr(value)[:20])
def test_odd_values_with_a_fitting_checksum(value: Any, runs: Path) -> None:
    """Whoever makes a record up can make its checksum, too: nothing but plain values pass."""
    folder = runs / RUN
    text = (folder / "summary.json").read_text(encoding="utf-8")
    summary = json.loads(text)
    for path in paths_in(summary):
        if path == (CHECKSUM,):
            continue
        made = changed(summary, path, value)
        made[CHECKSUM] = checksum(folder, made)
        (folder / "summary.json").write_text(json.dumps(made), encoding="utf-8")
        records, faults = survey(runs)
        assert len(records) + len(faults) == 1
        for fault in faults:
            assert str(fault).count("\n") < 3 and str(fault).isascii()
        for record in records:
            assert isinstance(record.objections, list)
            json.dumps(record.summary).encode("utf-8")


READERS: list[Callable[[], int]] = [
    check.main,
    lambda: compile.main(["table", "claims"]),
    lambda: compile.main(["table", "he2015_residual/table6"]),
    lambda: reproduce.main(["--plan", "--preset", "paper"]),
    lambda: compare.main([str(ROOT / "results"), os.environ["RESULTS_DIR"]]),
]


@pytest.mark.slow
@examples(max_examples=300)
@given(st.data())
def test_no_command_stumbles_over_a_record(
    whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Any
) -> None:
    """Whatever one of its values is, with a checksum that fits."""
    path = whole / SUMMARY
    before = path.read_bytes()
    summary = json.loads(before)
    odd = changed(
        summary,
        data.draw(st.sampled_from(paths_in(summary))),
        data.draw(st.sampled_from([*ODD, ...])),
    )
    odd[CHECKSUM] = checksum(whole, odd)
    path.write_text(json.dumps(odd), encoding="utf-8")
    results = whole.parents[4]
    monkeypatch.setenv("RESULTS_DIR", str(results))
    monkeypatch.setenv("OUTPUT_DIR", str(results / "outputs"))
    try:
        for main in READERS:
            assert main() in (0, FAILED, BAD_CONFIG)
            said = capsys.readouterr()
            assert len(said.err.splitlines()) <= 4 and "\x1b[2J" not in said.out + said.err
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize(
    "text", ["null", "[]", "1", '"x"', "{", "", "[" * 100_000, '{"version": 1}', "\ufeff{}", "NaN"]
)
def test_summaries_that_are_none(text: str, runs: Path) -> None:
    (runs / RUN / "summary.json").write_text(text, encoding="utf-8")
    records, (fault,) = survey(runs)
    assert not records and str(fault).count("\n") < 3


@pytest.mark.parametrize(
    ("column", "value"),
    [("epoch", "inf"), ("epoch", "nan"), ("iteration", "-5"), ("iteration", "0"),
     ("iteration", "1563"), ("test_error", "-1"), ("test_error", "1e9"), ("train_error", "100.5"),
     ("test_error", "x")],
)  # fmt: skip
def test_metrics_that_nothing_measured(column: str, value: str, runs: Path) -> None:
    """In the row of iteration 1,954, which follows that of 1,563."""
    folder = runs / RUN
    lines = (folder / "metrics.csv").read_text(encoding="utf-8").splitlines()
    cells = lines[5].split(",")
    cells[lines[0].split(",").index(column)] = value
    lines[5] = ",".join(cells)
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    summary[CHECKSUM] = checksum(folder, summary)
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    records, (fault,) = survey(runs)
    assert not records and "metrics.csv" in str(fault)
