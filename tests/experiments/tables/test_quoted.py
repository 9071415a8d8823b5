"""What the tables quote is trained, or the data say why not."""

import csv

import pytest

from experiments.papers.published import PAPER, PublishedError
from experiments.papers.rows import all_rows
from experiments.tables import quoted
from experiments.tables.quoted import TRAINABLE
from records.files import ROOT


def reasons() -> list[dict[str, str]]:
    with (PAPER / "quoted.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def printed() -> set[tuple[str, str, str]]:
    """Table, row and data set of what the papers have from others, read apart."""
    found = set()
    for path in PAPER.glob("*_*.csv"):
        paper = path.stem
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                row = (line["experiment"], line["dataset"])
                if not line["experiment"].startswith(f"{paper}/") or row not in all_rows():
                    found.add((line["table"], *row))
    return found


def test_every_quoted_line_is_listed_once() -> None:
    listed = [line for entry in quoted.quoted() for line in entry.lines]
    assert len(set(listed)) == len(listed)
    assert {(line.table, *line.row) for line in listed} == printed()


def test_a_trained_row_has_a_config_and_others_a_reason() -> None:
    for entry in quoted.quoted():
        if entry.here == TRAINABLE:
            assert (ROOT / "conf" / "experiment" / f"{entry.row}.yaml").exists()
            assert (ROOT / "results" / "recipes" / f"{entry.recipe}.md").exists()
            assert all(line.row in all_rows() for line in entry.lines)
        else:
            assert not entry.row and len(entry.remark) > 15, entry


def test_no_reason_is_left_of_what_is_trained() -> None:
    """One that names a table speaks for all its rows that nothing trains."""
    untrained = {e.lines[0].experiment for e in quoted.quoted() if e.here != TRAINABLE}
    for line in reasons():
        assert {line["row"]} & (untrained | {row.rpartition("/")[0] for row in untrained}), line


@pytest.mark.parametrize(
    ("row", "named"),
    [("he2015_residual/table6/highway32", "widths are not published"),
     ("he2016_identity/table4/lsuv", "layers are made residual"),
     ("he2015_residual/table5/resnet_ensemble", "labels are not published")],
)  # fmt: skip
def test_what_cannot_be_rebuilt_says_so(row: str, named: str) -> None:
    (entry,) = (e for e in quoted.quoted() if e.lines[0].experiment == row)
    assert entry.here == "cannot be rebuilt" and named in entry.remark


def test_a_row_without_a_reason_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = quoted._reasons().iloc[:0]
    monkeypatch.setattr(quoted, "_reasons", lambda: empty)
    with pytest.raises(PublishedError, match=r"is not trained, and .*quoted\.csv does not say why"):
        quoted.quoted_table()


def test_the_table_counts_cells() -> None:
    sheet = quoted.quoted_table()
    trained = sum(len(e.lines) for e in quoted.quoted() if e.here == TRAINABLE)
    assert f"{sum(len(e.lines) for e in quoted.quoted())} lines" in sheet.notes[0]
    assert f"{trained} trainable" in sheet.notes[0]
    assert len(sheet.frame) == len(quoted.quoted())
