"""What is suggested to who mistypes a name."""

import pytest

from records.words import did_you_mean, duration, nearest

SETTINGS = ["recipe.lr", "recipe.lr_power", "recipe.colour", "model.depth", "model.drop", "device"]
TABLES = ["he2015_residual/table6", "he2015b_prelu/table6", "he2015_residual/fig6"]


@pytest.mark.parametrize(
    ("typed", "names", "meant"),
    [
        ("recipe.lrr", SETTINGS, ["recipe.lr"]),  # no field of another name than its own
        ("depth", SETTINGS, ["model.depth"]),
        ("dept", SETTINGS, ["model.depth"]),
        ("devise", SETTINGS, ["device"]),
        ("xyz", SETTINGS, []),
        ("he2015/table6", TABLES, ["he2015_residual/table6"]),  # as a plan writes it
        ("he2015_residual/tabel6", TABLES, ["he2015_residual/table6"]),
        ("table7", ["table1", "table6", "table2"], ["table6", "table2", "table1"]),
        ("table6", TABLES, ["he2015_residual/table6", "he2015b_prelu/table6"]),
    ],
)
def test_what_is_meant_comes_first(typed: str, names: list[str], meant: list[str]) -> None:
    assert nearest(typed, names) == meant


def test_the_beginning_of_a_name_leads_to_what_begins_so() -> None:
    rows = [f"he2015_residual/table6/resnet{depth}" for depth in (20, 32, 44, 56)]
    assert nearest("he2015/table6", ["he2015b_prelu/table6/a", *rows]) == rows[:3]
    assert nearest(rows[0].replace("20", "21"), reversed(rows))[0] == rows[0]


def test_nothing_near_is_no_question() -> None:
    assert did_you_mean([]) == ""
    assert did_you_mean(["a", "b"]) == "Did you mean a or b?"
    assert did_you_mean(["a", "b", "c"]) == "Did you mean a, b or c?"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (99, "99 s"), (120, "2 min"), (3600, "60 min"), (9000, "2.5 h"),
     (86400, "24.0 h"), (3 * 86400, "3.0 days")],
)  # fmt: skip
def test_durations_have_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
