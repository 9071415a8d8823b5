"""Tables from made records, against a table worked out by hand and committed beside them."""

import csv
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import stdev

import pytest

from experiments import compile
from experiments.papers import published
from experiments.tables import readme
from experiments.tables.overview import overview
from experiments.tables.sheets import to_markdown, write
from experiments.tables.tables import paper_table
from experiments.verdicts.aggregate import Measured, aggregate
from experiments.verdicts.records import RunRecord, load, load_all
from experiments.verdicts.verdict import others_deviation, spread, verdict
from records.files import ROOT
from records.record import RecordError

GOLDEN = ROOT / "tests" / "golden"
TABLE6 = "he2015_residual/table6"


@pytest.fixture(scope="module")
def records() -> list[RunRecord]:
    return load_all(GOLDEN / "runs")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder that holds the made records."""
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path / "outputs"))
    shutil.copytree(GOLDEN / "runs", tmp_path / "results" / "runs")
    return tmp_path / "results"


def test_the_golden_table(records: list[RunRecord]) -> None:
    expected = (GOLDEN / "table6.md").read_text(encoding="utf-8")
    assert to_markdown(paper_table(TABLE6, records).frame) + "\n" == expected


@pytest.mark.parametrize(
    ("layers", "ours", "verdict"),
    [
        # 8.75 against 8.40: reproductions spread by 0.148, twice that is less than 0.35.
        ("20", "8.40", "better"),
        # 0.09 lies within twice the 0.121 of seven reproductions.
        ("32", "7.60", "reproduced"),
        ("44", "fail", "fails"),
        ("56", "6.90, fail (1 of 2)", "fails in part"),
        # 6.4 6.5 6.6 6.7 6.8: best 6.40, mean 6.60, deviation 0.158; the paper's is 0.16.
        ("110", "6.40 (6.60 ± 0.16)", "reproduced"),
        # One run each, and fewer than three reproductions: nobody knows the spread.
        ("1202", "7.00", "undecided"),
    ],
)
def test_cells_worked_out_by_hand(
    layers: str, ours: str, verdict: str, records: list[RunRecord]
) -> None:
    frame = paper_table(TABLE6, records).frame
    row = frame[(frame["Method"] == "ResNet") & (frame["Layers"] == layers)].iloc[0]
    assert (row["Ours (%)"], row["Verdict"]) == (ours, verdict)


def test_shortened_changed_and_foreign_runs_stay_out(records: list[RunRecord]) -> None:
    out = [record.run for record in records if not record.counts]
    assert len(out) == 3  # preset short, an override, data of another fingerprint
    row = paper_table(TABLE6, records).frame.query("Method == 'ResNet' and Layers == '20'").iloc[0]
    assert row["n"] == "1"


@pytest.mark.parametrize(
    "change", [{"dataset": "cifar10"}, {"dataset": "cifar100_aug"}, {"recipe": "0" * 16}]
)
def test_other_data_sets_and_edited_recipes_stay_out(
    change: dict[str, str], records: list[RunRecord]
) -> None:
    other = [
        RunRecord(
            record.folder,
            record.summary | change
            | {"run": f"{record.experiment}/{change.get('dataset', record.dataset)}/seed0"},
        )
        for record in records
    ]  # fmt: skip
    assert paper_table(TABLE6, [*records, *other]) == paper_table(TABLE6, records)


def test_without_records_every_cell_of_ours_is_missing() -> None:
    frame = paper_table(TABLE6, []).frame
    assert set(frame["Ours (%)"]) == {"-"}
    assert set(frame["Verdict"]) == {"not run", "quoted"}


def test_the_papers_column_is_the_published_table(records: list[RunRecord]) -> None:
    """He et al. 2015, Table 6, as printed."""
    frame = paper_table(TABLE6, records).frame
    printed = [
        ("Maxout", "-", "9.38"), ("NIN", "-", "8.81"), ("DSN", "-", "8.22"),
        ("FitNet", "19", "8.39"), ("Highway", "19", "7.54 (7.72 ± 0.16)"),
        ("Highway", "32", "8.80"), ("ResNet", "20", "8.75"), ("ResNet", "32", "7.51"),
        ("ResNet", "44", "7.17"), ("ResNet", "56", "6.97"),
        ("ResNet", "110", "6.43 (6.61 ± 0.16)"), ("ResNet", "1202", "7.93"),
    ]  # fmt: skip
    assert list(zip(frame["Method"], frame["Layers"], frame["Paper (%)"], strict=True)) == printed


def test_compiling_again_changes_no_byte(results: Path) -> None:
    def compiled() -> dict[Path, bytes]:
        records = compile.records_of("paper")
        files = write(paper_table(TABLE6, records), "paper")
        files += compile.write_figure("he2015_residual/fig6", "paper", records)
        return {path: path.read_bytes() for path in files}

    first = compiled()
    assert {path.suffix for path in first} == {".md", ".csv", ".tex", ".png", ".svg"}
    assert compiled() == first


def test_csv_and_latex_hold_the_same_cells(results: Path) -> None:
    compiled = compile.compile_table(TABLE6, "paper", compile.records_of("paper"))
    frame, paths = compiled.frame, write(compiled, "paper")
    files = {path.suffix: path.read_text(encoding="utf-8") for path in paths}
    rows = list(csv.reader(files[".csv"].splitlines()))
    assert rows[0] == list(frame.columns) and len(rows) == 13
    assert [rows[-2][3], rows[-2][5]] == ["6.43 (6.61 ± 0.16)", "6.40 (6.60 ± 0.16)"]
    assert r"6.40 (6.60 $\pm$ 0.16)" in files[".tex"] and r"\toprule" in files[".tex"]
    for special in ("±", "%)", "~"):
        body = files[".tex"].partition("\n")[2].replace(r"\%)", "")
        assert special not in body


def test_a_shortened_preset_is_labelled_and_apart(tmp_path: Path, results: Path) -> None:
    run = next((GOLDEN / "runs").rglob("resnet32"))
    target = tmp_path / "outputs" / "runs" / "short" / TABLE6 / "resnet32"
    shutil.copytree(run, target)
    compiled = compile.compile_table(TABLE6, "short", compile.records_of("short"))
    frame, paths = compiled.frame, write(compiled, "short")
    assert all(path.is_relative_to(tmp_path / "outputs" / "short") for path in paths)
    assert "not comparable with the paper" in paths[0].read_text(encoding="utf-8")
    assert "Verdict" not in frame.columns and "7.51" not in frame.to_string()


def test_the_readme_is_filled_between_its_markers(tmp_path: Path, results: Path) -> None:
    write(paper_table(TABLE6, compile.records_of("paper")), "paper")
    path = tmp_path / "README.md"
    path.write_text(f"before\n<!-- table: tables/{TABLE6}.md -->\nold\n<!-- end -->\nafter\n")
    assert readme.update(path, results)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("<!-- end -->\nafter\n")
    assert "6.40 (6.60 ± 0.16)" in text and "old" not in text
    assert not readme.update(path, results)


def test_the_committed_readme_holds_the_committed_table(tmp_path: Path) -> None:
    copy = shutil.copyfile(ROOT / "README.md", tmp_path / "README.md")
    assert not readme.update(Path(copy)), "README.md is out of date; run make table"


@pytest.mark.parametrize(
    ("value", "paper", "std", "fails", "expected"),
    [
        (8.0, 8.2, 0.1, False, "reproduced"),
        (7.9, 8.2, 0.1, False, "better"),
        (8.5, 8.2, 0.1, False, "worse"),
        (8.5, 8.2, None, False, "undecided"),
        (None, 8.2, 0.1, False, "fails"),
        (None, 60.0, None, True, "fails as in the paper"),
        (9.0, 60.0, None, True, "does not fail"),
    ],
)
def test_verdicts(
    value: float | None, paper: float, std: float | None, fails: bool, expected: str
) -> None:
    assert verdict(Measured(value, None, 1), paper, std, fails=fails) == expected


def test_no_runs_is_no_verdict() -> None:
    assert verdict(None, 8.2, 0.1, fails=False) == "not run"


def test_spread_pools_ours_and_the_papers() -> None:
    # Two runs have one degree of freedom, five have four.
    assert spread((0.3, 2), (0.4, 5), (9, 9)) == pytest.approx(((0.09 + 4 * 0.16) / 5) ** 0.5)
    assert spread((0.3, 4), None, (9, 9)) == pytest.approx(0.3)
    assert spread(None, None, (0.2, 6)) == pytest.approx(0.2)
    assert spread(None, None, None) is None


def test_of_few_runs_others_decide_with_them() -> None:
    """Two runs that happen to agree must not make a small difference a large one."""
    assert spread((0.01, 2), None, (0.2, 5)) == pytest.approx(((0.0001 + 4 * 0.04) / 5) ** 0.5)
    assert spread((0.3, 3), None, None) == pytest.approx(0.3)


def test_others_are_three_reproductions_or_their_band() -> None:
    row = "he2015_residual/table6/resnet20"
    six = [8.27, 8.29, 8.29, 7.99, 8.06, 8.0]
    assert others_deviation(row, "cifar10_aug") == (pytest.approx(stdev(six)), 6)
    assert others_deviation("huang2017_dense/table2/densenet_bc_190_40", "cifar10_aug") == (
        pytest.approx(0.075), 2,
    )  # fmt: skip
    assert others_deviation("he2016_identity/table1/dropout", "cifar10_aug") is None


def test_the_interval_is_students() -> None:
    """Moore and McCabe's table: t of 97.5 % is 2.776 for 4 degrees of freedom, 12.706 for 1."""
    low, high = Measured(6.4, 0.2, 5, mean=6.6).interval or (0, 0)
    assert (high + low) / 2 == pytest.approx(6.6)
    assert (high - low) / 2 == pytest.approx(2.776 * 0.2 / 5**0.5, rel=1e-3)
    low, high = Measured(6.6, 0.2, 2, mean=6.6).interval or (0, 0)
    assert (high - low) / 2 == pytest.approx(12.706 * 0.2 / 2**0.5, rel=1e-3)
    assert Measured(6.6, None, 1, mean=6.6).interval is None


def test_how_often_a_verdict_errs_by_chance_is_what_the_overview_says() -> None:
    """Of two equal rows, a difference beyond two deviations of one run: normal, deviation known."""

    def chance(ours: int) -> float:
        return math.erfc(2 / math.sqrt(1 + 1 / ours) / math.sqrt(2))

    assert 1 / chance(1) == pytest.approx(6, abs=0.5)
    assert 1 / chance(5) == pytest.approx(15, abs=0.5)


def test_the_overview_counts_verdicts_and_comparisons(records: list[RunRecord]) -> None:
    table = paper_table(TABLE6, records)
    counted = overview([table])
    (total,) = counted.totals
    assert (total.trained, total.measured) == (6, 6)
    assert total.verdicts["reproduced"] == 2 and total.verdicts.total() == 6
    (line,) = counted.frame.to_dict("records")
    assert line["Verdicts"] == ("2 reproduced, 1 better, 1 undecided, 1 fails, 1 fails in part")
    # He et al. 2016 quote ResNet-110; it counts once.
    both = overview([table, paper_table("he2016_identity/table1", records)]).compared
    assert len(both) == 6 and both.count("reproduced") == 2


def test_statistics_of_several_runs(records: list[RunRecord]) -> None:
    runs = [record for record in records if record.experiment == f"{TABLE6}/resnet110"]
    mean, median, best = (aggregate(runs, name) for name in ("mean_std", "median5", "best"))
    assert mean and median and best
    assert (mean.value, mean.runs, mean.failed) == (pytest.approx(6.6), 5, 0)
    assert mean.std == pytest.approx(0.025**0.5)
    assert (median.value, best.value) == (6.6, 6.4)


def test_best_validation_and_hundred_classes(records: list[RunRecord]) -> None:
    """Huang et al. 2016 report the error where validation is best; 25 % is no failure on C100+."""
    errors = {"last": 26.0, "best": 24.9, "at_best_val": 25.1, "exported": 26.0}
    change = {"dataset": "cifar100_aug", "test_error": errors}
    run = RunRecord(records[0].folder, records[0].summary | {"status": "finished"} | change)
    at_best_val, at_end = aggregate([run], "best_val"), aggregate([run], "last")
    assert at_best_val and at_end
    assert (at_best_val.value, at_end.value, at_end.failed) == (25.1, 26.0, 0)
    ten = RunRecord(run.folder, run.summary | {"dataset": "cifar10_aug"})
    assert aggregate([ten], "last") == Measured(None, None, 0, 1)


@pytest.mark.parametrize("table", published.titles())
def test_every_table_compiles_and_lists_what_is_quoted(table: str) -> None:
    frame = paper_table(table, []).frame
    assert len(frame) == len(published.lines(table))
    assert set(frame["Verdict"]) <= {"not run", "quoted"}


def test_a_mistake_among_published_numbers_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = (published.PAPER / "he2015_residual.csv").read_text().splitlines()[0]
    line = "he2015_residual/table6,he2015_residual/table6/resnet20,cifar10_aug,ResNet,{},,,"
    monkeypatch.setattr(published, "PAPER", tmp_path)
    for cells, message in (
        ("test_error,8.75", "lst"), ("tst_error,8.75", "tst_error"), ("test_error,8x1", "8x1"),
    ):  # fmt: skip
        statistic = "lst" if message == "lst" else "last"
        row = line.format(cells) + f"{statistic},Table 6,"
        (tmp_path / "made.csv").write_text(f"{head}\n{row}\n")
        published.numbers.cache_clear()
        with pytest.raises(published.PublishedError, match=message):
            published.numbers("made")
    published.numbers.cache_clear()


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[Path]:
    run = next((GOLDEN / "runs").rglob("resnet32/cifar10_aug/seed0"))
    shutil.copytree(run, tmp_path / "seed0")
    yield tmp_path / "seed0"


@pytest.mark.parametrize("change", ["truncated", "version", "key", "missing"])
def test_a_damaged_record_is_named(change: str, damaged: Path) -> None:
    path = damaged / "summary.json"
    content = json.loads(path.read_text())
    if change == "truncated":
        path.write_text(path.read_text()[:50])
    elif change == "missing":
        path.unlink()
    else:
        content = content | {"version": 99} if change == "version" else {"version": 1}
        path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=r"(?s)summary\.json is missing, damaged.*Restore"):
        load(damaged)


def test_a_record_in_the_wrong_folder_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = next((GOLDEN / "runs").rglob("resnet32"))
    shutil.copytree(run, tmp_path / TABLE6 / "resnet20")
    assert not load_all(tmp_path)
    assert "Left out: " in (named := capsys.readouterr().err)
    assert re.search(r"holds the record of .*resnet32", named)


def test_damaged_records_are_left_out_and_named(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = results / "runs" / TABLE6
    (runs / "resnet20/cifar10_aug/seed0/summary.json").write_text("{")
    (runs / "resnet32/cifar10_aug/seed0/metrics.csv").unlink()
    (runs / "resnet1202/cifar10_aug/seed0/metrics.csv").write_bytes(b"\xff\x00,1\n")
    assert compile.main(["table", TABLE6]) == 0
    printed = capsys.readouterr()
    # Three are damaged, and one is a shortened run among full recipes.
    assert printed.err.count("Left out: ") == 4 and "Traceback" not in printed.err
    rows = {line["Layers"]: line for line in csv.DictReader(
        (results / "tables" / f"{TABLE6}.csv").open(newline="", encoding="utf-8"))}  # fmt: skip
    assert [rows[layers]["Verdict"] for layers in ("20", "32", "1202")] == ["not run"] * 3
    assert rows["110"]["Verdict"] == "reproduced"


def test_data_fingerprints_are_those_the_loader_checks() -> None:
    from data.arrays.cifar import FACTS

    for dataset, fingerprint in published.fingerprints().items():
        assert fingerprint == FACTS[dataset.removesuffix("_aug")].fingerprint


def test_tables_need_no_torch() -> None:
    code = (
        "import sys, experiments.reproduce; print('torch' in sys.modules or 'data' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=ROOT,
    )  # fmt: skip
    assert result.stdout.strip() == "False"


def test_an_unknown_table_or_figure_lists_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert compile.main(["table", "he2015_residual/table7"]) == 2
    assert TABLE6 in capsys.readouterr().err
    assert compile.main(["figure", "he2015_residual/fig9"]) == 2
    assert "he2015_residual/fig6" in capsys.readouterr().err
