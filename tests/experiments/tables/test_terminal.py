"""Tables on terminals of any width, and plans on them."""

import io

import pandas as pd
import pytest
from rich.console import Console

from experiments import compile
from experiments.papers import published
from experiments.plan import overview
from experiments.plan.plan import make_plan, table_jobs
from experiments.sharing import compare
from experiments.tables.terminal import DROPPED_FIRST, print_table, shortened
from records.names import FULL

LARGEST = "huang2017_dense/table2"


def printed(frame: pd.DataFrame, width: int) -> list[str]:
    """The lines that a terminal of so many columns shows."""
    shown = io.StringIO()
    console = Console(
        file=shown, width=width, force_terminal=True, color_system=None, highlight=False
    )
    print_table(frame, "results/x.md", console)
    return shown.getvalue().splitlines()


def frames() -> dict[str, pd.DataFrame]:
    """Every kind of table that commands print, by its name."""
    records = compile.records_of(FULL)
    names = [name for name in published.tables() if name != "he2015_residual/table5"]
    tables = {name: compile.compile_table(name, FULL, records).frame for name in names}
    plan = make_plan(table_jobs(LARGEST, preset="paper"))
    return tables | {"plan": overview.table(plan), "compare": compare.compare("results", "results")}


@pytest.fixture(scope="module")
def known() -> dict[str, pd.DataFrame]:
    return frames()


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_no_table_is_wider_than_its_terminal(known: dict[str, pd.DataFrame], width: int) -> None:
    for name, frame in known.items():
        lines = printed(frame, width)
        assert max(map(len, lines)) <= width, name
        # A line a row below the heading, then what found no room.
        assert len(lines) >= len(frame) + 2, name
        body = lines[2 : len(frame) + 2]
        assert all(line.strip() for line in body), name


def test_what_a_narrow_terminal_leaves_out_is_named(known: dict[str, pd.DataFrame]) -> None:
    frame = known["he2015_residual/table6"]
    heading, *_ = lines = printed(frame, 80)
    named, _, where = " ".join(lines).partition("Columns left out: ")[2].partition("; ")
    left_out = [" ".join(column.split()) for column in named.split(",")]
    assert set(left_out) < set(frame) and where == "results/x.md has all."
    assert heading.split() == " ".join(c for c in frame if c not in left_out).split()
    assert "left out" not in " ".join(printed(frame, 250))


def test_what_a_reader_came_for_stays(known: dict[str, pd.DataFrame]) -> None:
    for name, frame in known.items():
        heading = printed(frame, 80)[0]
        for column in set(frame) & {"Paper (%)", "Ours (%)", "State", "Row", "Here"}:
            assert column in heading, (name, column)
    assert not {"Method", "Row", "Ours (%)", "Paper (%)", "Verdict", "State"} & set(DROPPED_FIRST)


@pytest.mark.parametrize("width", [80, 100])
def test_shortened_runs_keep_their_names(width: int) -> None:
    """Long names give way first; the end of each, which tells runs apart, is seen."""
    runs = [f"he2016_identity/table1/{row}+model.depth=20/digits/seed0" for row in ("a", "conv1x1")]
    frame = pd.DataFrame([
        {"Run": run, "Parameters": "269,722", "Iterations": 399, "Training error (%)": "10.13",
         "Test error (%)": "1.01", "Best test error (%)": "1.01", "Status": "finished"}
        for run in runs
    ])  # fmt: skip
    heading, _, *lines = printed(frame, width)
    assert "Training error (%)" in heading and "Test error (%)" in heading
    for run, line in zip(runs, lines, strict=False):
        name, *cells = line.split()
        assert len(name) > 25 and run.endswith(name.removeprefix("…")), line
        assert cells[-3:] == ["10.13", "1.01", "finished"]


def test_a_name_keeps_whole_parts() -> None:
    assert shortened("he2015_residual/table6/resnet20", 40) == "he2015_residual/table6/resnet20"
    assert shortened("he2015_residual/table6/resnet20", 20) == "…/table6/resnet20"
    assert shortened("abcdefghij", 5) == "…ghij"


def test_where_nobody_looks_a_table_is_whole(
    known: dict[str, pd.DataFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    frame = known["he2015_residual/table6"]
    print_table(frame)
    first, rule, *rows = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in first.strip("|").split("|")] == list(frame)
    assert set(rule) <= set("|:-") and len(rows) == len(frame)
