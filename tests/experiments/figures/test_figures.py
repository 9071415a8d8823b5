"""The curves of a figure: what is drawn where, from records that may be few."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from experiments.figures import against
from experiments.figures.against import Dot
from experiments.figures.drawing import FIGURES, draw, idle
from experiments.figures.panels import Curve
from experiments.figures.points import Family, Grid, Points
from experiments.figures.training import Curves, Gradients
from experiments.figures.weights import Responses, Reuse
from experiments.papers.conf import table_rows
from experiments.verdicts.loading import load, load_all
from experiments.verdicts.records import RunRecord
from records.files import ROOT
from records.record import RecordError
from tests.sealed import seal

GOLDEN = ROOT / "tests" / "golden" / "runs"
FIG6 = FIGURES["he2015_residual/fig6"]


@pytest.fixture(autouse=True)
def close() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def records() -> list[RunRecord]:
    return [record for record in load_all(GOLDEN) if record.counts]


def curves(figure: Figure) -> list[list[str]]:
    """Labels of the test curves of each panel, in drawing order."""
    return [
        [
            str(line.get_label())
            for line in axis.lines
            if not str(line.get_label()).startswith(("_", "not run"))
        ]
        for axis in figure.axes
    ]


def test_three_panels_as_in_the_paper(records: list[RunRecord]) -> None:
    figure = draw(FIG6, records)
    assert curves(figure) == [
        ["plain-20", "plain-56"],
        ["ResNet-20", "ResNet-32", "ResNet-44", "ResNet-56", "ResNet-110"],
        ["ResNet-110", "ResNet-1202"],
    ]
    for axis in figure.axes:
        assert axis.get_ylim() == (0, 20) and axis.get_xlabel() == "iterations"


def test_training_error_is_thin_and_dashed_test_error_bold(records: list[RunRecord]) -> None:
    for axis in draw(FIG6, records).axes:
        drawn = [line for line in axis.lines if not str(line.get_label()).startswith("_child")]
        training, test = drawn[::2], drawn[1::2]
        for one, other in zip(training, test, strict=True):
            assert one.get_linewidth() < other.get_linewidth() / 2
            assert one.is_dashed() and not other.is_dashed()
            assert one.get_color() == other.get_color()
        assert len({line.get_color() for line in test}) == len(test)


def test_the_curves_are_the_metrics(records: list[RunRecord]) -> None:
    (record,) = [r for r in records if r.experiment.endswith("resnet32")]
    test = next(x for x in draw(FIG6, records).axes[1].lines if x.get_label() == "ResNet-32")
    metrics = record.metrics()
    assert list(test.get_xdata()) == list(metrics["iteration"])
    assert list(test.get_ydata()) == list(metrics["test_error"])


def test_other_seeds_are_thin(records: list[RunRecord]) -> None:
    """Five runs of ResNet-110: the first is bold."""
    figure = draw(FIG6, records)
    runs = [r.metrics() for r in records if r.experiment.endswith("resnet110") and r.unchanged]
    thin = [line for line in figure.axes[2].lines if str(line.get_label()).startswith("_child")]
    assert len(runs) == 5 and all(line.get_linewidth() < 1 for line in thin)
    assert [list(line.get_ydata()) for line in thin] == [list(m["test_error"]) for m in runs[1:]]
    assert "test error, other runs" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_panels_of_curves_have_one_scale(records: list[RunRecord]) -> None:
    """On a part of the schedule the axis depends on where the curves end."""
    curve = Curve("he2015_residual/table6/resnet32", "32", "k")
    far = Curve("he2015_residual/fig6/plain56", "56", "k")
    panels = (Curves("", (curve,), limit=5.0), Curves("", (far,), limit=20.0))
    tops = {axis.get_ylim()[1] for axis in draw(panels, records, scale=0.1).axes}
    assert tops == {40.0}, "twice the paper's, as all end below 24 %"
    assert [axis.get_ylim()[1] for axis in draw(panels, records).axes] == [5.0, 20.0]


def below(axis: Axes) -> str:
    """What is said of runs that are missing."""
    said = [text.get_text().replace("\N{NO-BREAK SPACE}", " ") for text in axis.texts]
    return " ".join(text for text in said if text.startswith("not measured yet"))


def test_missing_runs_are_named(records: list[RunRecord]) -> None:
    texts = [below(axis) for axis in draw(FIG6, records).axes]
    assert texts == ["not measured yet: plain-32, plain-44", "", ""]


def test_a_panel_that_shows_nothing_is_left_out(records: list[RunRecord]) -> None:
    plain = [record for record in records if "plain" in record.experiment]
    (axis,) = draw(FIG6, plain).axes
    assert axis.get_title() == FIG6[0].title


def test_a_panel_of_which_only_the_baseline_has_run_is_left_out_and_named(
    records: list[RunRecord],
) -> None:
    base, one, other = (Curve(f"he2015_residual/table6/resnet{n}", str(n), "k")
                        for n in (110, 20, 1202))  # fmt: skip
    panels = (Curves("first", (base, one)), Curves("second", (base, other)))
    run = [record for record in records if not record.experiment.endswith("1202")]
    figure = draw(panels, run)
    assert [axis.get_title() for axis in figure.axes] == ["first"]
    assert figure.get_supxlabel() == "not measured yet: panel “second”"
    assert idle(panels, {base.row}) == list(panels)
    assert not idle((panels[0],), {base.row}) and not idle((panels[0],) * 2, {base.row})


@pytest.mark.parametrize("name", FIGURES)
def test_every_network_of_a_figure_is_a_row_of_its_table(name: str) -> None:
    shown = {row for panel in FIGURES[name] for row in panel.rows}
    rows = set(table_rows(name))
    assert shown <= rows
    # Plain-110 is trained, and lies above the axis.
    assert {row for row, _ in rows - shown} <= {"he2015_residual/fig6/plain110"}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_can_be_drawn_from_nothing_and_says_so(name: str) -> None:
    figure = draw(FIGURES[name], [])
    assert sum(bool(below(axis)) for axis in figure.axes) == len(FIGURES[name])


def test_the_training_loss_has_an_axis_of_its_own(records: list[RunRecord]) -> None:
    panel = Curves("", (Curve("he2015_residual/table6/resnet32", "32", "k"),), "train_loss")
    (record,) = [r for r in records if r.experiment.endswith("resnet32")]
    left, right = draw((panel,), [record]).axes
    assert (left.get_yscale(), right.get_yscale()) == ("log", "linear")
    assert left.get_ylabel() == "training loss" and right.get_ylabel() == "test error (%)"
    metrics = record.metrics()
    assert list(left.lines[0].get_ydata()) == list(metrics["train_loss"])
    assert list(right.lines[0].get_ydata()) == list(metrics["test_error"])


def test_error_against_parameters_is_the_mean_over_seeds(records: list[RunRecord]) -> None:
    rows = tuple(f"he2015_residual/table6/resnet{depth}" for depth in (110, 20, 44))
    (axis,) = draw((Points("", (Family("ResNet", "k", rows),)),), records).axes
    line = next(line for line in axis.lines if line.get_label() == "ResNet")
    # ResNet-44 diverged; 8.40 of ResNet-20, and 6.4 to 6.8 of ResNet-110.
    assert list(line.get_xdata()) == pytest.approx([0.269722, 1.727962])
    assert list(line.get_ydata()) == pytest.approx([8.4, 6.6])
    assert "ResNet (1 of 3)" in below(axis)


def test_each_of_several_runs_is_a_dot(records: list[RunRecord]) -> None:
    rows = ("he2015_residual/table6/resnet20", "he2015_residual/table6/resnet110")
    figure = draw((Points("", (Family("ResNet", "k", rows),)),), records)
    (dots,) = [line for line in figure.axes[0].lines if line.get_label() != "ResNet"]
    assert set(dots.get_xdata()) == {1.727962} and dots.get_linestyle() == "None"
    assert sorted(dots.get_ydata()) == [6.4, 6.5, 6.6, 6.7, 6.8]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["single runs"]


def test_published_errors_and_ours_have_their_uncertainty() -> None:
    """The interval of our mean, and half a point for what was read off a figure."""
    dots = [
        Dot("ResNet, 56", 6.97, 6.8, (6.4, 7.2), 1, "reproduced", 0.5),
        Dot("Plain, 44", 12.0, 10.84, (10.4, 11.3), 1, None, 0.5),
    ]
    (axis,) = against.draw(dots).axes
    drawn = {
        tuple(map(tuple, segment.tolist()))
        for lines in axis.collections if isinstance(lines, LineCollection)
        for segment in lines.get_segments()
    }  # fmt: skip
    assert drawn == {
        ((6.97, 6.4), (6.97, 7.2)),
        ((12.0, 10.4), (12.0, 11.3)),
        ((11.5, 10.84), (12.5, 10.84)),
    }
    assert "one run each" in axis.get_ylabel()
    legend = axis.get_legend()
    assert legend is not None
    names = {text.get_text() for text in legend.get_texts()}
    assert names == {"within 0.5 points", "reproduced", "read off a figure"}
    assert {text.get_text() for text in axis.texts} == {"ResNet, 56", "Plain, 44"}


def test_published_points_stand_beside_ours() -> None:
    left, right = draw(FIGURES["huang2017_dense/fig3"], []).axes
    for axis in (left, right):
        lines = {line.get_label(): line for line in axis.lines}
        assert list(lines["ResNet, published"].get_ydata()) == [26.73, 24.01, 22.44, 22.16]
    # torchvision's counts of the same networks: millions of weights, billions of multiply-adds.
    for axis, sizes in ((left, [21.8, 25.6, 44.5, 60.2]), (right, [3.66, 4.09, 7.80, 11.51])):
        x = {line.get_label(): line for line in axis.lines}["ResNet, published"].get_xdata()
        assert list(x) == pytest.approx(sizes, abs=0.05)


def test_published_means_stand_beside_ours_where_there_are_means() -> None:
    """6.61 is the mean of ResNet-110, and 6.43 its best run."""
    (axis, _) = draw(FIGURES["huang2017_dense/fig3_cifar"], []).axes
    lines = {line.get_label(): line for line in axis.lines}
    assert list(lines["ResNet, published"].get_ydata()) == [8.75, 7.51, 7.17, 6.97, 6.61, 7.93]


def test_errors_of_a_tenth_stand_beside_nothing_published(records: list[RunRecord]) -> None:
    family = Family("ResNet", "k", ("he2015_residual/table6/resnet20",))
    for scale, labels in ((1, ["ResNet", "ResNet, published"]), (0.1, ["ResNet"])):
        figure = draw((Points("", (family,), published=True),), records, scale=scale)
        assert curves(figure) == [labels] and len(figure.legends) == (scale == 1)


def test_what_families_are_is_said_above_the_panels_and_hides_no_point() -> None:
    figure = draw(FIGURES["huang2017_dense/fig3_cifar"], [])
    (key,) = figure.legends
    named = [text.get_text() for text in key.get_texts()]
    families = FIGURES["huang2017_dense/fig3_cifar"][0].families  # type: ignore[attr-defined]
    assert named == [*(family.label for family in families), "published"]
    assert all(axis.get_legend() is None for axis in figure.axes)


def test_the_points_of_fig3_are_named_in_titled_panels() -> None:
    for axis, word in zip(draw(FIGURES["huang2017_dense/fig3"], []).axes,
                          ("parameters", "operations"), strict=True):  # fmt: skip
        assert axis.get_title().endswith(word)
        names = {text.get_text() for text in axis.texts}
        assert names >= {"34", "50", "101", "152", "121", "169", "201", "161", "264"}


def test_the_error_axis_of_a_paper_may_start_above_0() -> None:
    for axis in draw(FIGURES["he2015_residual/fig4"], []).axes:
        assert axis.get_ylim() == (20, 60)


@pytest.fixture
def held_out(records: list[RunRecord], tmp_path: Path) -> RunRecord:
    """ResNet-32 with validation errors, of which the third is the lowest."""
    (record,) = [r for r in records if r.experiment.endswith("resnet32")]
    shutil.copytree(record.folder, tmp_path / "run")
    frame = record.metrics().assign(val_error=[9.0, 8.0, 7.0, 7.5, 7.2])
    frame.to_csv(tmp_path / "run" / "metrics.csv", index=False)
    seal(tmp_path / "run")
    return load(tmp_path / "run")


def test_the_epoch_that_validation_chooses_is_circled(held_out: RunRecord) -> None:
    curve = Curve(held_out.experiment, "ResNet-32", "k")
    figure = draw((Curves("", (curve,), chosen=True),), [held_out])
    circles = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    third = held_out.metrics().iloc[2]
    assert [tuple(line.get_xydata()[0]) for line in circles] == [
        (third["iteration"], third["test_error"])
    ]
    assert figure.legends[0].get_texts()[-1].get_text() == "lowest validation error"
    (axis,) = draw((Curves("", (curve,)),), [held_out]).axes
    assert not [line for line in axis.lines if line.get_marker() == "o"]


def test_test_errors_alone_are_drawn_where_a_paper_does(held_out: RunRecord) -> None:
    figure = draw((Curves("", (Curve(held_out.experiment, "32", "k"),), ""),), [held_out])
    (axis,) = figure.axes
    assert [line.get_label() for line in axis.lines] == ["32"] and not figure.legends


def test_a_grid_and_a_level_line(records: list[RunRecord]) -> None:
    names = [f"he2015_residual/table6/resnet{depth}" for depth in (20, 110, 44)]
    grid = Grid("", "y", "x", ("a",), ("1", "2", "3"), (tuple(names),))
    level = Points("", (), baseline=Curve(names[0], "level", "k"))
    cells, line = draw((grid, level), records).axes
    assert [text.get_text() for text in cells.texts] == ["8.40", "6.60", "-"]
    assert set(line.lines[0].get_ydata()) == {8.4}


def test_gradients_are_drawn_where_they_were_measured(
    records: list[RunRecord], tmp_path: Path
) -> None:
    (record,) = [r for r in records if r.experiment.endswith("resnet32")]
    shutil.copytree(record.folder, tmp_path / "run")
    path = tmp_path / "run" / "metrics.csv"
    frame = record.metrics().assign(gradient=[0.02, 0.01, 0.005, 0.004, 0.003])
    frame.to_csv(path, index=False)
    seal(path.parent)
    curve = Curve(record.experiment, "ResNet-32", "k")
    other = Curve("he2015_residual/table6/resnet110", "ResNet-110", "k")
    figure = draw((Gradients("", (curve, other), (82,)),), [*records[:1], load(tmp_path / "run")])
    (axis,) = figure.axes
    assert list(axis.lines[0].get_ydata()) == [0.02, 0.01, 0.005, 0.004, 0.003]
    assert "ResNet-110" in below(axis)


@pytest.fixture
def analysed(tmp_path: Path) -> RunRecord:
    """A made record with the responses of three layers and the reuse in a block of two."""
    shutil.copytree(GOLDEN / "he2015_residual/table6/resnet20/cifar10_aug/seed0", tmp_path / "run")
    (tmp_path / "run/responses.csv").write_text("layer,std\n1,0.5\n2,1.5\n3,1.0\n")
    weights = "block,source,target,weight\n1,0,1,2\n1,0,2,1\n1,1,2,4\n1,0,3,1\n1,1,3,2\n1,2,3,8\n"
    (tmp_path / "run/reuse.csv").write_text(weights)
    return load(tmp_path / "run")


def test_responses_in_order_and_ranked(analysed: RunRecord) -> None:
    curve = Curve(analysed.experiment, "ResNet-20", "k")
    panels = (Responses("", (curve,)), Responses("", (curve,), ranked=True))
    order, ranked = draw(panels, [analysed]).axes
    assert list(order.lines[0].get_ydata()) == [0.5, 1.5, 1.0]
    assert list(ranked.lines[0].get_ydata()) == [1.5, 1.0, 0.5]


def test_reuse_is_scaled_to_the_largest_of_each_target(analysed: RunRecord) -> None:
    (axis,) = draw((Reuse("", analysed.experiment, 1),), [analysed]).axes
    drawn = axis.images[0].get_array()
    assert drawn is not None
    rows = [[None if cell is np.ma.masked else float(cell) for cell in row] for row in drawn]
    # Down: sources; across: targets. A layer does not read those after it.
    assert rows == [[1.0, 0.25, 0.125], [None, 1.0, 0.25], [None, None, 1.0]]


def test_reuse_says_what_its_colours_are_and_frames_what_follows_the_block(
    analysed: RunRecord,
) -> None:
    axis, bar = draw((Reuse("", analysed.experiment, 1, bar=True),), [analysed]).axes
    assert "over the target's largest" in bar.get_ylabel() and bar.get_ylim() == (0, 1)
    (frame,) = axis.patches
    assert frame.get_bbox().bounds == (2.5, -0.5, 1, 3)  # type: ignore[attr-defined]


def test_a_damaged_analysis_is_named_and_left_out(
    analysed: RunRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    (analysed.folder / "reuse.csv").write_text("block\nx\n")
    with pytest.raises(RecordError, match=r"reuse\.csv is damaged"):
        analysed.analysis("reuse")
    (axis,) = draw((Reuse("", analysed.experiment, 1),), [analysed]).axes
    assert not axis.images and "Left out: " in capsys.readouterr().err


def test_shortened_runs_are_marked(records: list[RunRecord]) -> None:
    figure = draw(FIG6, records, "Shortened runs: not comparable with the paper.", None)
    assert "not comparable" in figure.get_supxlabel()
    few = draw(FIG6, [r for r in records if "plain" in r.experiment], "Shortened runs.", None)
    assert curves(few) == [["plain-20", "plain-56"]], "panels without a curve are left out"
