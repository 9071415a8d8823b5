"""Networks on photographs, tested as a table asks: from weights to the record to the table."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import reproduce
from experiments.papers import published
from experiments.papers.rows import facts
from experiments.tables.tables import paper_table
from experiments.verdicts.ask_eval import Answer
from experiments.verdicts.inference import Prior
from experiments.verdicts.loading import load_all
from experiments.verdicts.measure import row_of
from experiments.verdicts.records import RunRecord, extras
from experiments.verdicts.tested import results
from tests.conftest import Ended, save_tree
from tests.sealed import seal

WHOLE = f"50000,{'0' * 16},{'f' * 64}"
TABLE3, TABLE4 = "he2015_residual/table3", "he2015_residual/table4"
ROW = "he2015_residual/table3/resnet50"


def made(runs: Path, row: str, seed: int = 0, *, diverged: bool = False, **tests: str) -> None:
    """A record as of a full recipe on ImageNet, and files of tests."""
    known = facts(row, "imagenet")
    assert known is not None
    run = f"{row}/imagenet/seed{seed}"
    summary = {
        "version": 1, "run": run, "experiment": row, "status": "finished", "dataset": "imagenet",
        "seed": seed, "preset": "paper", "iterations": known.iterations, "params": known.params,
        "test_error": dict.fromkeys(("last", "best", "at_best_val", "exported"), 24.5),
        "train_error": 20.0, "data": "0" * 16, "weights": "f" * 64, "recipe": known.hash,
    } | ({"status": "diverged"} if diverged else {})  # fmt: skip
    folder = runs / run
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(summary))
    header = "iteration,epoch,lr,train_loss,train_error,test_loss,test_error"
    (folder / "metrics.csv").write_text(f"{header}\n1,1,0.1,1,20,1,24.5\n")
    (folder / "config.yaml").write_text("made: for tests\n")
    seal(folder)
    for name, content in tests.items():
        text = f"test_error,test_error_top5,test_loss,images,data,weights\n{content}\n"
        (folder / f"{name}.csv").write_text(text)


def cells(table: str, records: list[RunRecord], layers: str = "50") -> dict[str, str]:
    frame = paper_table(table, records).frame
    return dict(frame[(frame["Layers"] == layers) & (frame["Verdict"] != "quoted")].iloc[-1])


def test_a_table_takes_the_errors_of_its_own_test(tmp_path: Path) -> None:
    made(tmp_path, ROW, ten_crop=f"22.9,6.8,0.9,{WHOLE}", multi_scale=f"20.8,5.2,0.8,{WHOLE}")
    made(tmp_path, ROW, 1, ten_crop=f"23.1,7.0,0.9,{WHOLE}")
    records = load_all(tmp_path)
    for table, ours, top5, runs in ((TABLE3, "23.00 ± 0.14", "6.90", "2"),
                                    (TABLE4, "20.80", "5.20", "1 of 2")):  # fmt: skip
        found = cells(table, records)
        assert (found["Ours (%)"], found["Ours, top 5 (%)"], found["n"]) == (ours, top5, runs)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f"damaged,5.2,0.8,{WHOLE}", "could not convert"),
        (f",5.2,0.8,{WHOLE}", "not a percentage"),
        (f"1e9,5.2,0.8,{WHOLE}", "not a percentage"),
        ("", "Empty|out-of-bounds|not a percentage"),
        (f"20.8,5.2,0.8,50000,{'1' * 16},{'f' * 64}", "with other data"),
        (f"20.8,5.2,0.8,50000,{'0' * 16},{'e' * 64}", "with other weights"),
        ("20.8,5.2,0.8,8", "with other data"),
    ],
)
def test_a_strange_test_is_none(
    content: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path, ROW, single=f"24.4,7.4,1.0,{WHOLE}", multi_scale=content)
    found = cells(TABLE4, load_all(tmp_path))
    assert (found["Ours (%)"], found["Difference"]) == ("-", "-")
    assert (found["n"], found["Verdict"]) == ("0 of 1", "not tested")
    said = capsys.readouterr().err
    assert re.search(rf"multi_scale.csv is damaged or misplaced .*{reason}", said)


def test_a_row_whose_only_tested_run_has_diverged_is_not_decided(tmp_path: Path) -> None:
    made(tmp_path, ROW)
    made(tmp_path, ROW, 1, diverged=True)
    found = cells(TABLE3, load_all(tmp_path))
    assert (found["Ours (%)"], found["n"], found["Verdict"]) == ("-", "1 of 2", "not tested")


@pytest.mark.parametrize(
    ("table", "row", "files", "expected"),
    [  # the centre crop of 224 is what training has evaluated
        ("huang2017_dense/table3", "huang2017_dense/table3/densenet121", ["ten_crop"],
         {"one crop of 224": ("25.02", "7.71", "24.50"), "ten crops": ("23.61", "6.66", "22.90")}),
        ("he2016_identity/table5", "he2015_residual/table3/resnet152", ["single_320_320"],
         {"one crop of 224": ("23.0", "6.7", "24.50"),
          "one crop of 320": ("21.3", "5.5", "22.90")}),
        ("he2016_identity/table5", "he2015_residual/table3/resnet152", [],
         {"one crop of 224": ("23.0", "6.7", "24.50"), "one crop of 320": ("21.3", "5.5", "-")}),
    ],
)  # fmt: skip
def test_a_row_with_several_tests_has_a_line_for_each(
    table: str, row: str, files: list[str], expected: dict[str, tuple[str, ...]], tmp_path: Path
) -> None:
    made(tmp_path, row, **dict.fromkeys(files, f"22.9,6.8,0.9,{WHOLE}"))
    frame = paper_table(table, load_all(tmp_path)).frame
    first = frame["Layers"].iloc[0]
    lines = frame[(frame["Layers"] == first) & (frame["Method"] == frame["Method"].iloc[0])]
    columns = ["Paper (%)", "Paper, top 5 (%)", "Ours (%)"]
    assert {line["Test"]: tuple(line[columns]) for _, line in lines.iterrows()} == expected
    assert ("not tested" in set(lines["Verdict"])) == (not files)


def test_a_strange_test_contradicts_its_record(tmp_path: Path) -> None:
    made(tmp_path, ROW, ten_crop=f"22.9,6.8,0.9,{WHOLE}", multi_scale="20.8,5.2,0.8,8")
    (record,) = load_all(tmp_path)
    (fault,) = results(record)[1]
    assert "multi_scale.csv is damaged or misplaced" in fault


def test_a_claim_compares_what_the_table_shows(tmp_path: Path) -> None:
    row = "he2015_residual/table2/plain18"
    made(tmp_path, row, ten_crop=f"27.9,9.0,0.9,{WHOLE}")
    prior = Prior(0.7, 6)
    found = row_of(row, "imagenet", "test_error", load_all(tmp_path), prior).sample
    assert found is not None and found.mean == 27.9
    other = "he2015_residual/table2/plain34"
    made(tmp_path, other)
    assert row_of(other, "imagenet", "test_error", load_all(tmp_path), prior).missing


@pytest.mark.parametrize(
    ("table", "arguments"),
    [
        ("he2015_residual/table2", ["protocol=ten_crop"]),
        (TABLE4, ["protocol=multi_scale"]),
        ("he2016_identity/table5", ["protocol=single", "crop=320", "short=320"]),
        ("huang2017_dense/table3", ["protocol=single"]),
    ],
)
def test_each_table_is_tested_as_in_its_paper(table: str, arguments: list[str]) -> None:
    name = published.tables()[table].test
    assert name is not None and published.test_arguments(name) == arguments
    assert f"{name}.csv" in extras()  # so that the report lists it


def test_what_is_missing_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, ROW, ten_crop=f"22.9,6.8,0.9,{WHOLE}")
    made(tmp_path, ROW, 1)
    made(tmp_path, "he2015_residual/table3/resnet34b")
    asked = []

    def ask(folder: Path, *options: str) -> Answer:
        asked.append((folder.relative_to(tmp_path).as_posix(), options))
        return Answer()

    monkeypatch.setattr(reproduce, "ask_eval", ask)
    reproduce.test_rows(TABLE3, [(ROW, "imagenet")], load_all(tmp_path))
    assert asked == [(f"{ROW}/imagenet/seed1", ("protocol=ten_crop", "save=true"))]
    asked.clear()
    row = "huang2017_dense/table3/densenet121"
    made(tmp_path, row)
    reproduce.test_rows("huang2017_dense/table3", [(row, "imagenet")], load_all(tmp_path))
    folder = f"{row}/imagenet/seed0"
    assert asked == [(folder, (f"protocol={name}", "save=true")) for name in ("single", "ten_crop")]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)

    def picture(label: int, number: int) -> Image.Image:
        return Image.fromarray(random.integers(0, 256, (70, 80, 3), np.uint8))

    save_tree(tmp_path / "data/imagenette", picture, 4)
    return tmp_path / "data"


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_the_command_notes_a_test_in_the_record(
    workers: int, data: Path, command: Callable[..., Ended], tmp_path: Path
) -> None:
    arguments = [
        "experiment=he2015_residual/table2/resnet18", "preset=imagenette", "data.classes=2",
        "recipe.batch=4", "recipe.length=1", "recipe.milestones=[]", "device=cpu",
        "recipe.statistics_batches=1", "workers=0",
    ]  # fmt: skip
    ended = command("train.py", *arguments)
    assert ended.code == 0, ended.err
    (summary,) = tmp_path.rglob("summary.json")
    run = f"run='{summary.parent}'"
    test = ["protocol=single", "crop=96", "short=96", "save=true", f"workers={workers}"]
    ended = command("eval.py", run, *test)
    assert ended.code == 0, ended.err
    with (summary.parent / "single_96_96.csv").open(newline="") as file:
        (found,) = csv.DictReader(file)
    printed = re.findall(r"[\d.]+(?= %)", ended.out)
    assert [f"{float(found['test_error']):.2f}"] == printed  # of two classes, five are all
    assert float(found["test_error_top5"]) == 0
    assert found["images"] == "8"
    recorded = json.loads(summary.read_text())
    assert (found["data"], found["weights"]) == (recorded["data"], recorded["weights"])
    weights = summary.parent / "weights.safetensors"
    for wrong, message in (
        ([run, f"weights='{weights}'", "save=true"], "one finished record"),
        ([run, f"weights='{weights}'", "analysis=responses"], "one finished record"),
        ([f"run=['{summary.parent}','{summary.parent}']", "save=true"], "one finished record"),
        ([run, "protocol=multi_scale", "short=96"], "short=96 has no effect beside"),
    ):
        ended = command("eval.py", *wrong)
        assert ended.code == 2 and message in ended.err, ended.err
    seal(summary.parent, weights="0" * 64)
    ended = command("eval.py", run, "save=true")
    assert ended.code == 2 and "is not what the run of" in ended.err
