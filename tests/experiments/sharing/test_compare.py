"""Two sets of records side by side."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.sharing import compare
from experiments.verdicts.loading import load
from records.command import CommandError
from records.files import ROOT
from tests.sealed import seal

GOLDEN = ROOT / "tests" / "golden" / "runs"
ROW = "he2015_residual/table6/resnet20"
TEMPLATE = GOLDEN / ROW / "cifar10_aug" / "seed0"


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    """A results folder with runs of ResNet-20 of these test errors, a seed each."""

    def make(
        name: str, *errors: float | None, suffix: str = "", dataset: str = "cifar10_aug",
        **changes: Any,
    ) -> Path:  # fmt: skip
        for seed, error in enumerate(errors):
            run = f"{ROW}{suffix}/{dataset}/seed{seed}"
            folder = tmp_path / name / "runs" / run
            shutil.copytree(TEMPLATE, folder)
            measured = dict.fromkeys(("last", "best", "at_best_val", "exported"), error)
            status = "finished" if error is not None else "diverged"
            values = {"run": run, "seed": seed, "test_error": measured, "status": status,
                      "dataset": dataset}  # fmt: skip
            seal(folder, **values | changes)
            assert load(folder).run == run
        return tmp_path / name

    return make


def line(a: Path | str, b: Path | str) -> dict[str, str]:
    (found,) = compare.compare(str(a), str(b)).to_dict("records")
    return {str(key): str(value) for key, value in found.items()}


# Deviations of 0.1 with five runs each: 0.1 is shown to be near, 0.8 to be another.
FIVE = (8.0, 8.1, 7.9, 8.15, 7.85)


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [(0.1, "near"), (0.8, "A is lower"), (-0.8, "B is lower")],
)
def test_means_are_told_apart_by_the_rule_of_the_tables(
    shift: float, verdict: str, made: Callable[..., Path]
) -> None:
    found = line(made("a", *FIVE), made("b", *(error + shift for error in FIVE)))
    assert found["Verdict"] == verdict
    assert found["A (%)"] == "8.00 ± 0.13 (n = 5)" and found["B - A"] == f"{shift:+.2f}"
    assert found["Same seed"] == f"{shift:+.2f} ± 0.00"


@pytest.mark.parametrize("gap", [3.0, 12.0])
def test_a_difference_is_no_spread(gap: float, made: Callable[..., Path]) -> None:
    """Of another schedule, where our own rows alone say how far runs lie apart."""
    errors = (13.7, 13.5, 13.9, 13.6)
    folder = made("a", *errors, preset="tenth")
    made("a", *(error - gap for error in errors), suffix="+model.order=mine", preset="tenth")
    assert line(folder, f"{folder}+model.order=mine")["Verdict"] == "B is lower"


def test_a_single_run_is_near_to_nothing_that_five_show_to_be_near(
    made: Callable[..., Path],
) -> None:
    """Its own spread counts, whichever side it is on."""
    five, single = made("a", *FIVE), made("b", 8.3)
    assert line(five, single)["Verdict"] == line(single, five)["Verdict"] == "undecided"


def test_data_of_ones_own_decide_nothing(made: Callable[..., Path]) -> None:
    """As nobody knows how many test images they have."""
    assert line(made("a", *FIVE, dataset="mine"), made("b", 12.0, dataset="mine"))["Verdict"] == "-"


def test_another_precision_in_the_same_folder(made: Callable[..., Path]) -> None:
    folder = made("a", 8.0, 8.2)
    made("a", 8.1, 8.1, suffix="+precision=bf16")
    found = line(folder, f"{folder}+precision=bf16")
    assert found["A (%)"].startswith("8.10") and found["B (%)"].startswith("8.10")
    assert found["Same seed"] == "+0.00 ± 0.14"
    with pytest.raises(CommandError, match=r"no record of a run with precision=fp32"):
        line(folder, f"{folder}+precision=fp32")


def test_equal_curves_are_counted(made: Callable[..., Path]) -> None:
    a, b = made("a", 8.0, 8.1, 8.2), made("b", 8.0, 8.1)
    assert line(a, b)["Equal curves"] == "2 of 2"
    path = b / "runs" / ROW / "cifar10_aug" / "seed1" / "metrics.csv"
    path.write_text(path.read_text().replace("8.0640", "8.0641"))
    seal(path.parent)
    assert line(a, b)["Equal curves"] == "1 of 2"
    text = path.read_text().replace("8.0641", "8.0640").replace(",340.0", ",999.0")
    path.write_text(text)
    seal(path.parent)
    assert line(a, b)["Equal curves"] == "2 of 2", "times may differ"


def test_failures(made: Callable[..., Path]) -> None:
    a, b = made("a", 8.0, None), made("b", None, None)
    found = line(a, b)
    assert found["Verdict"] == "one fails" and found["B (%)"] == "fail (2)"
    assert found["A (%)"] == "8.00 (n = 1, 1 failed)"
    assert line(b, a)["Verdict"] == "one fails"
    assert line(b, made("c", None))["Verdict"] == "both fail"


def test_what_else_differs_is_named(made: Callable[..., Path]) -> None:
    a, b = made("a", 8.0, device="one", seconds=1.0), made("b", 8.0, device="two", seconds=1.0)
    assert line(a, b)["Not the same"] == "device" and line(a, a)["Not the same"] == "-"
    assert line(a, a)["Verdict"] == "identical"


def test_shortened_runs_are_not_judged_by_what_is_known_of_whole_ones(
    made: Callable[..., Path],
) -> None:
    found = line(made("a", 45.0, preset="short"), made("b", 35.0, preset="short"))
    assert found["A (%)"] == "45.00 (n = 1)" and found["Verdict"] == "-"


def test_what_cannot_be_compared_is_named(
    made: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = made("a", 8.0)
    assert compare.main([str(a), str(tmp_path / "none")]) == 2
    assert "is not a folder of records" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert compare.main([str(a), str(tmp_path / "empty")]) == 2
    assert "holds no record" in capsys.readouterr().err
    assert compare.main([str(a), str(made("b", 8.0, preset="short"))]) == 2
    assert "share no row" in capsys.readouterr().err


def test_changed_runs_are_named_as_on_the_command_line(
    made: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    a = made("a", 8.0)
    made("a", 9.0, suffix="+recipe.lr=0.05+recipe.milestones=-50-75")
    for changes in ("+recipe.milestones=[50,75]+recipe.lr=0.05",
                    "+recipe.lr=0.05+recipe.milestones=-50-75"):  # fmt: skip
        assert line(a, f"{a}{changes}")["B (%)"] == "9.00 (n = 1)"
    for b in ("+recipe.lr=0.05", "+recipe.lr=0.1+recipe.batch=64"):
        assert compare.main([str(a), f"{a}{b}"]) == 2
        said = capsys.readouterr().err
        assert "+recipe.lr=0.05+recipe.milestones=-50-75" in said and "without overrides" in said


def test_another_folder_than_that_of_runs_is_named(
    made: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    a = made("a", 8.0, 8.1)
    for folder, right in ((a / "runs" / "he2015_residual", a / "runs"), (a.parent, a / "runs")):
        assert compare.main([str(a), str(folder)]) == 2
        said = capsys.readouterr().err
        assert f"{right}." in said and len(said.splitlines()) == 1
