"""The live line of a run, on a clock of ours."""

import io

import pytest
from rich.console import Console

from training.process import progress
from training.process.progress import ProgressLine

ROW = {"iteration": 100.0, "train_loss": 1.5, "test_loss": 1.25, "train_error": 60.0,
       "test_error": 45.5}  # fmt: skip


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def shown_by(line: ProgressLine) -> str:
    """What a terminal of 80 columns shows of it now."""
    screen = io.StringIO()
    Console(file=screen, width=80, color_system=None).print(line.bar)
    return screen.getvalue()


def live_line(start: int = 0) -> ProgressLine:
    line = ProgressLine("a/b/c/d/seed0", batch=128, start=start, last=64_000)
    line.live = True
    line.console.file = io.StringIO()
    return line


def test_an_evaluation_is_not_taken_for_the_pace(clock: list[float]) -> None:
    """100 iterations in 10 s, then 40 s of evaluation: 63,899 more take 0.5 s each, and not
    the 40 s of the last one."""
    with live_line() as line:
        clock[0] = 10.0
        line.advance(100)
        assert "1:46:30 left" in shown_by(line)  # 63,900 of 0.1 s
        clock[0] = 50.5
        line.evaluated(ROW)
        line.advance(101)
        assert "8:52:30 left" in shown_by(line)  # 63,899 of 0.5 s


def test_everything_fits_into_eighty_columns(clock: list[float]) -> None:
    with live_line(start=41_000) as line:
        clock[0] = 128.0
        line.evaluated(ROW)
        line.advance(42_000)
        (shown,) = shown_by(line).splitlines()
    for part in ("42000/64000", "loss 1.50/1.25", "error 60.0/45.5 %", "1,000 img/s", "left"):
        assert part in shown
    assert ", from iteration 41000 on" in line.console.file.getvalue()  # type: ignore[attr-defined]


def test_elsewhere_an_evaluation_is_a_line(clock: list[float]) -> None:
    line = ProgressLine("a/b/c/d/seed0", batch=128, start=0, last=64_000)
    line.console.file = io.StringIO()
    with line:
        clock[0] = 12.8
        line.evaluated(ROW)
    said = line.console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert said[0] == "a/b/c/d/seed0: iteration 0 of 64000"
    assert said[1].startswith(
        "a/b/c/d/seed0: 100/64,000  loss 1.500 train, 1.250 test  error 60.00 train, 45.50 % test"
    )
    assert "1,000 img/s" in said[1] and said[1].endswith("left")
