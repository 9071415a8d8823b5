"""Files of published facts as somebody may have edited them: plain facts, or a named mistake."""

import csv
import io
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.papers import claims as claims_file
from experiments.papers.claims import claims
from experiments.papers.published import PAPER, PublishedError, papers
from experiments.papers.reading import read
from experiments.papers.rows import RowFacts
from experiments.papers.schema import (
    BuiltLayer,
    Dataset,
    Deviation,
    Layer,
    Paper,
    Published,
    Reproduction,
    Table,
)
from records.files import ROOT

SCHEMAS: dict[Path, type] = {
    PAPER / "papers.csv": Paper, PAPER / "tables.csv": Table, PAPER / "datasets.csv": Dataset,
    PAPER / "reproductions.csv": Reproduction, PAPER / "layers.csv": Layer,
    PAPER / "deviations.csv": Deviation, ROOT / "results" / "rows.csv": RowFacts,
    ROOT / "results" / "architecture.csv": BuiltLayer,
    **{PAPER / f"{paper.name}.csv": Published for paper in papers()},
}  # fmt: skip
CELLS = st.one_of(
    st.sampled_from(["", "-1", "nan", "inf", "1e400", "1,5", "101", "True", "0", "null", "a/b/c/d",
                     "\x1b[2J", "\u202e", '"', "9" * 400, "he2015_residual/table9"]),
    st.text(max_size=8),
)  # fmt: skip


PLAIN = "he2015_residual/fig6/plain20"
CLAIM = "- {claim: x, source: y, statement: z"


@st.composite
def mistyped(draw: st.DrawFn) -> tuple[Path, str]:
    """A file, and its text with one thing that is not as before."""
    path = draw(st.sampled_from(sorted(SCHEMAS)))
    lines = list(csv.reader(path.open(encoding="utf-8", newline="")))
    place = draw(st.integers(0, len(lines) - 1))
    column = draw(st.integers(0, len(lines[place]) - 1))
    change = draw(st.sampled_from(["cell", "cell", "cell", "no cell", "no line", "twice", "cut"]))
    if change == "cell":
        lines[place][column] = draw(CELLS)
    elif change == "no cell":
        del lines[place][column]
    elif change == "no line":
        del lines[place]
    elif change == "twice":
        lines.insert(place, lines[place])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    whole = text.getvalue()
    return path, whole[: draw(st.integers(0, len(whole)))] if change == "cut" else whole


def is_plain(value: Any) -> bool:
    """Nothing but numbers within range and text that any terminal may show."""
    if isinstance(value, float):
        return math.isfinite(value) and 0 <= value <= 1e15
    return (
        value is None or isinstance(value, int) or (isinstance(value, str) and value.isprintable())
    )


@given(case=mistyped())
def test_a_mistyped_file_is_read_or_its_mistake_is_named(
    case: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, text = case
    copy = tmp_path_factory.getbasetemp() / path.name
    copy.write_text(text, encoding="utf-8", newline="")
    try:
        lines = read(copy, SCHEMAS[path])
    except PublishedError as error:
        assert copy.name in str(error) and str(error).count("\n") < 3 and str(error).isprintable()
        return
    assert all(is_plain(value) for line in lines for value in asdict(line).values())
    assert len(lines) >= text.count("\nhe2015_residual/fig6")  # none was left out


@pytest.mark.parametrize(
    ("name", "was", "now", "message"),
    [
        ("he2015_residual.csv", ",8.75,", ",875,", "line 81: value=875 is not a percentage"),
        ("he2015_residual.csv", ",8.75,", ",8x75,", "line 81: value='8x75'"),
        ("he2015_residual.csv", ",last,", ",lst,", "statistic='lst'"),
        ("he2015_residual.csv", "statistic,", "statstic,", "column 'stat"),
        ("papers.csv", "https://arxiv", "file://arxiv", "line 2: url="),
        ("tables.csv", "\nhe2015_residual/table3", "\nhe2015_residual/table2", "duplicates line 2"),
        ("datasets.csv", ",50000,", ",,", "train_images='': is empty"),
        ("datasets.csv", ",0.5\n", ",0.5,x\n", "8 cells under 7 columns"),
    ],
)
def test_mistakes_are_named_by_line_and_column(
    name: str, was: str, now: str, message: str, tmp_path: Path
) -> None:
    text = (PAPER / name).read_text(encoding="utf-8")
    assert was in text
    (tmp_path / name).write_text(text.replace(was, now, 1), encoding="utf-8")
    with pytest.raises(PublishedError, match=message):
        read(tmp_path / name, SCHEMAS[PAPER / name])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- [", "is not valid YAML"),
        ("", "not a list of claims"),
        (f"{CLAIM}, comparisons: [{{fails: {PLAIN}}}]}}\n" * 2, "it is there twice"),
        (f"{CLAIM}, comparisons: [{{lower: {PLAIN}, than: {PLAIN}, times: 0}}]}}", "times"),
        ("claim: x", "claim"),
        (f"{CLAIM}}}", "claim 'x': comparisons"),
        (f"{CLAIM}, comparisons: []}}", "claim 'x': comparisons"),
        (f"{CLAIM}, comparisons: [{{lower: 1, than: a/b/c}}]}}", "lower"),
        (f"{CLAIM}, comparisons: [{{lwer: a/b/c}}]}}", "lwer"),
        (f"{CLAIM}, comparisons: [{{fails: a/b/c}}]}}", "no table trains a/b/c"),
        (f"{CLAIM}, comparisons: [{{below: .nan, row: a/b/c}}]}}", "below"),
        (f"{CLAIM}, comparisons: [{{lower: a/b/c}}]}}", "not a comparison"),
    ],
)
def test_mistakes_of_claims_are_named(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "claims.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(claims_file, "PAPER", tmp_path)
    with pytest.raises(PublishedError, match=message) as error:
        claims.__wrapped__()
    assert str(error.value).count("\n") < 3
