"""Tables in their papers' layout, held against lines copied from the papers."""

import json
from pathlib import Path

import pandas as pd
import pytest

from experiments.papers import datasets, published
from experiments.papers.rows import facts
from experiments.tables.layout import printed
from experiments.tables.tables import paper_table
from experiments.verdicts.records import RunRecord

ACROSS = [table for table in published.tables() if published.tables()[table].across]


def layout(table: str, records: list[RunRecord] | None = None) -> pd.DataFrame:
    sheet = printed(paper_table(table, records or []))
    assert sheet is not None
    return sheet.frame


@pytest.mark.parametrize(
    ("table", "line", "cells"),
    [
        ("huang2017_dense/table2", ("NIN", "-"), "10.41 8.81 35.68 - 2.35"),
        ("huang2017_dense/table2", ("ResNet, stochastic depth", "1202"), "- 4.91 - - -"),
        ("huang2017_dense/table2", ("ResNet, pre-activation", "1001"), "10.56 4.62 33.47 22.71 -"),
        ("huang2017_dense/table2", ("DenseNet-BC (k = 24)", "250"), "5.19 3.62 19.64 17.60 1.74"),
        # 110 layers, and 152 on SVHN: one line in the paper.
        ("huang2017_dense/table2", ("ResNet, constant depth",), "13.63 6.41 44.74 27.22 2.01"),
        ("huang2016_stochastic/table1", ("DSN", "-"), "7.97 - 1.92 33.70"),
        ("huang2016_stochastic/table1", ("ResNet, stochastic depth",), "5.25 24.98 1.75 21.98"),
        ("he2016_identity/table2", ("BN after addition",), "8.17 6.50"),
        ("he2015_residual/table2", ("34",), "28.54 25.03"),
    ],
)
def test_lines_are_the_papers(table: str, line: tuple[str, ...], cells: str) -> None:
    frame = layout(table)
    (found,) = [row for row in frame.to_numpy().tolist() if tuple(row[: len(line)]) == line]
    theirs = [i for i, name in enumerate(frame.columns) if name.endswith(", paper")]
    assert [found[i] for i in theirs] == cells.split()


@pytest.mark.parametrize("table", ACROSS)
def test_every_number_of_a_table_has_one_place(table: str) -> None:
    frame = layout(table)
    theirs = frame[[name for name in frame.columns if name.endswith(", paper")]]
    if published.tables()[table].metric == published.HOURS:
        theirs = theirs.iloc[:-1]
    reported = [line for line in published.lines(table) if line.reported]
    assert (theirs != "-").sum().sum() == len(reported)


def test_what_has_a_line_a_number_has_no_other_layout() -> None:
    assert printed(paper_table("he2015_residual/table6", [])) is None


def hours(folder: Path, row: str, taken: float) -> RunRecord:
    """A record of a row that took so many hours."""
    fact = facts(row, "cifar10_aug")
    assert fact is not None
    summary = {
        "run": f"{row}/cifar10_aug/seed0", "experiment": row, "dataset": "cifar10_aug", "seed": 0,
        "preset": "paper", "status": "finished", "iterations": fact.iterations,
        "recipe": fact.hash, "data": datasets.of("cifar10_aug").fingerprint,
        "seconds": 3600 * taken, "train_error": 0.1,
        "test_error": dict.fromkeys(("last", "best", "at_best_val", "exported"), 6.0),
    }  # fmt: skip
    own = folder / row
    own.mkdir(parents=True)
    columns = "iteration,epoch,lr,train_loss,train_error,test_loss,test_error,seconds"
    (own / "metrics.csv").write_text(f"{columns}\n1,1,0.1,1,1,1,6,{3600 * taken}\n")
    return RunRecord(own, json.loads(json.dumps(summary)))


def test_hours_end_in_their_ratio(tmp_path: Path) -> None:
    """15h 7m of 20h 42m, 15h 20m of 20h 51m, 25h 33m of 33h 43m; 1.6 hours of ours, of 2.0."""
    rows = ("resnet110_constant", 2.0), ("resnet110_stochastic", 1.6)
    records = [hours(tmp_path, f"huang2016_stochastic/table1/{row}", taken) for row, taken in rows]
    frame = layout("huang2016_stochastic/table2", records)
    assert frame["C10+, ours"].tolist()[:-1] == ["2.00", "1.60"]
    last = frame.iloc[-1].tolist()
    assert last == ["ratio, last to first", "0.73", "0.80", "0.74", "-", "0.76", "-"]
    assert layout("huang2016_stochastic/table2", records[1:]).iloc[-1].tolist()[2] == "-"
