"""Networks on photographs, tested as a table asks: from weights to the record to the table."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import analyse, published
from experiments.records import EXTRAS, RunRecord, load_all
from experiments.rows import facts
from experiments.tables import compile_table
from tests.conftest import Ended

TABLE3, TABLE4 = "he2015_residual/table3", "he2015_residual/table4"
ROW = "he2015_residual/table3/resnet50"


def made(runs: Path, row: str, seed: int = 0, **tests: str) -> None:
    """A record as of a full recipe on ImageNet, and files of tests."""
    known = facts(row, "imagenet")
    assert known is not None
    run = f"{row}/imagenet/seed{seed}"
    summary = {
        "version": 1, "run": run, "experiment": row, "status": "finished", "dataset": "imagenet",
        "seed": seed, "preset": "paper", "iterations": known.iterations, "params": known.params,
        "test_error": dict.fromkeys(("last", "best", "at_best_val", "exported"), 24.5),
        "train_error": 20.0, "data": "0" * 16, "recipe": known.hash,
    }  # fmt: skip
    folder = runs / run
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(summary))
    header = "iteration,epoch,lr,train_loss,train_error,test_loss,test_error"
    (folder / "metrics.csv").write_text(f"{header}\n1,1,0.1,1,20,1,24.5\n")
    for name, content in tests.items():
        text = f"test_error,test_error_top5,test_loss,images\n{content}\n"
        (folder / f"{name}.csv").write_text(text)


def cells(table: str, records: list[RunRecord], layers: str = "50") -> dict[str, str]:
    frame = compile_table(table, records)
    return dict(frame[(frame["Layers"] == layers) & (frame["Verdict"] != "quoted")].iloc[-1])


def test_a_table_takes_the_errors_of_its_own_test(tmp_path: Path) -> None:
    made(tmp_path, ROW, ten_crop="22.9,6.8,0.9,50000", multi_scale="20.8,5.2,0.8,50000")
    made(tmp_path, ROW, 1, ten_crop="23.1,7.0,0.9,50000")
    records = load_all(tmp_path)
    for table, ours, top5, runs in ((TABLE3, "23.00 ± 0.14", "6.90", "2"),
                                    (TABLE4, "20.80", "5.20", "1")):  # fmt: skip
        found = cells(table, records)
        assert (found["Ours (%)"], found["Ours, top 5 (%)"], found["n"]) == (ours, top5, runs)


def test_a_record_without_it_has_not_been_tested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path, ROW, single="24.4,7.4,1.0,50000", multi_scale="damaged,5.2,0.8,50000")
    records = load_all(tmp_path)
    for table in (TABLE3, TABLE4):
        found = cells(table, records)
        assert (found["Ours (%)"], found["Difference"]) == ("-", "-")
        assert found["Verdict"] == "not tested"
    assert "multi_scale.csv is damaged" in capsys.readouterr().err


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
    name = published.test(table)
    assert name is not None and published.test_arguments(name) == arguments
    assert f"{name}.csv" in EXTRAS  # so that bundles hold it


def test_what_is_missing_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, ROW, ten_crop="22.9,6.8,0.9,50000")
    made(tmp_path, ROW, 1)
    made(tmp_path, "he2015_residual/table2/plain18")
    asked = []
    monkeypatch.setattr(analyse, "ask", lambda record, *told: asked.append((record.run, told)))
    analyse.test(TABLE3, load_all(tmp_path))
    assert asked == [(f"{ROW}/imagenet/seed1", ("protocol=ten_crop", "save=true"))]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four images in each of two classes and splits."""
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for label in range(2):
            folder = tmp_path / "data/imagenette" / split / f"n{label}"
            folder.mkdir(parents=True)
            for number in range(4):
                pixels = random.integers(0, 256, (70, 80, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "data"


def test_the_command_notes_a_test_in_the_record(
    data: Path, command: Callable[..., Ended], tmp_path: Path
) -> None:
    told = ["experiment=he2015_residual/table2/resnet18", "preset=imagenette", "data.classes=2",
            "recipe.batch=4", "recipe.length=1", "recipe.milestones=[]", "device=cpu",
            "recipe.statistics_batches=1", "workers=0"]  # fmt: skip
    ended = command("train.py", *told)
    assert ended.code == 0, ended.err
    (summary,) = tmp_path.rglob("summary.json")
    run = f"run='{summary.parent}'"
    ended = command("eval.py", run, "protocol=single", "crop=96", "short=96", "save=true")
    assert ended.code == 0, ended.err
    with (summary.parent / "single_96_96.csv").open(newline="") as file:
        (found,) = csv.DictReader(file)
    printed = re.findall(r"[\d.]+(?= %)", ended.out)
    assert [f"{float(found[k]):.2f}" for k in ("test_error", "test_error_top5")] == printed
    assert found["images"] == "8"
    weights = summary.parent / "weights.safetensors"
    ended = command("eval.py", run, f"weights='{weights}'", "protocol=single", "save=true")
    assert ended.code == 2 and "save=true is for one record" in ended.err
