"""Runs on a tenth of the schedule: recipes and results of their own, never mixed with full ones."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import compile
from experiments.figures.drawing import FIGURES, draw
from experiments.papers.claims import claims
from experiments.papers.conf import preset_scale
from experiments.papers.rows import all_rows, facts
from experiments.plan.jobs import Job, parse_run
from experiments.plan.plan import listed_jobs, table_jobs
from experiments.report import __main__ as report
from experiments.report import page as report_page
from experiments.tables.claims import judge
from experiments.tables.tables import paper_table
from experiments.verdicts import check
from experiments.verdicts.loading import load_all, records_of
from experiments.verdicts.records import RunRecord
from records.files import ROOT
from records.names import PARTS, WEIGHTS, run_name
from records.record import is_finished
from tests.conftest import Ended
from tests.sealed import seal
from training.runs.finished import ship
from training.runs.named import NamedRun
from training.settings.identity import recipe_hash
from training.settings.settings import Settings

GOLDEN = ROOT / "tests" / "golden" / "runs"
TABLE6 = "he2015_residual/table6"
RESNET20 = f"{TABLE6}/resnet20"


def as_tenth(folder: Path) -> None:
    """Make the records below a folder ones of a tenth of the schedule."""
    for path in folder.rglob("summary.json"):
        summary = json.loads(path.read_text(encoding="utf-8"))
        row = facts(summary["experiment"], summary["dataset"], "tenth")
        assert row is not None
        seal(path.parent, preset="tenth", recipe=row.hash, iterations=row.iterations)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder: the made records in full, and ResNet-110 and -56 at a tenth."""
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path / "outputs"))
    shutil.copytree(GOLDEN, tmp_path / "results" / "runs")
    for row in ("resnet110", "resnet56"):
        tenth = tmp_path / "results" / "tenth" / "runs" / TABLE6 / row
        shutil.copytree(GOLDEN / TABLE6 / row, tenth)
        as_tenth(tenth)
    return tmp_path / "results"


# By epochs, of which there is no tenth without rounding.
ROUNDED = ("huang2016", "huang2017", "fair", "goodfellow2013", "romero2015")


def test_every_row_has_a_recipe_of_its_own(settings_of: Callable[..., Settings]) -> None:
    full, tenth = all_rows(), all_rows("tenth")
    assert full.keys() == tenth.keys()
    assert not {row.hash for row in full.values()} & {row.hash for row in tenth.values()}
    settings = settings_of(f"experiment={RESNET20}", "preset=tenth")
    assert recipe_hash(settings) == tenth[RESNET20, "cifar10_aug"].hash
    for key, row in full.items():
        epochs = row.recipe in ROUNDED
        assert tenth[key].iterations == pytest.approx(row.iterations / 10, rel=0.06 * epochs)
        assert (tenth[key].params, tenth[key].macs) == (row.params, row.macs)


def test_a_full_record_never_enters_a_tenth_table_or_the_other_way_round(results: Path) -> None:
    full, tenth = records_of("paper"), records_of("tenth")
    assert {r.preset for r in full} == {"paper"} and {r.preset for r in tenth} == {"tenth"}
    assert all(record.counts for record in tenth)
    both = [*full, *tenth]
    assert paper_table(TABLE6, both) == paper_table(TABLE6, full)
    assert paper_table(TABLE6, both, "tenth") == paper_table(TABLE6, tenth, "tenth")
    ours = paper_table(TABLE6, both, "tenth").frame.set_index("Layers")["Ours (%)"]
    assert ours["110"] == "6.40 (6.60 ± 0.16)" and ours["20"] == "-"
    names = [claim.verdict for claim in judge(claims(), both)]
    assert names == [claim.verdict for claim in judge(claims(), full)]


def test_records_in_the_folder_of_another_schedule_are_left_out_and_named(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(GOLDEN / TABLE6 / "resnet32", results / "tenth" / "runs" / TABLE6 / "resnet32")
    assert {r.experiment for r in records_of("tenth")} == {
        f"{TABLE6}/resnet110",
        f"{TABLE6}/resnet56",
    }
    said = capsys.readouterr().err
    place = results / "runs" / TABLE6 / "resnet32"
    assert "holds a run of preset paper" in said and str(place) in said
    assert check.main() == 1
    assert "tenth/he2015_residual/table6/resnet32" in capsys.readouterr().out


def test_a_tenth_of_another_length_or_recipe_is_no_tenth(results: Path) -> None:
    (path,) = (results / "tenth").rglob("resnet110/cifar10_aug/seed0/summary.json")
    (record,) = load_all(path.parent.parents[4], "tenth")[:1]
    full = facts(record.experiment, record.dataset)
    assert full is not None
    for change in ({"iterations": full.iterations}, {"recipe": full.hash}):
        assert RunRecord(record.folder, record.summary | change).objections


def test_no_table_of_a_tenth_holds_ours_against_the_papers(results: Path) -> None:
    for table in compile.compile_all(records_of("tenth"), "tenth"):
        columns = set(table.frame.columns)
        assert not columns & {"Verdict", "Verdicts", "Difference", "Margin", "Others (%)"}
        assert "Paper (%)" not in columns and "on a tenth of the schedule" in table.title


def test_a_level_that_the_paper_states_is_open_on_another_schedule(results: Path) -> None:
    judged = {one.claim.name: one for one in judge(claims(), records_of("tenth"), "tenth")}
    for name in ("plain-110 fails", "1202 layers train", "some shortcuts fail"):
        assert judged[name].verdict == "needs the full schedule"
        assert judged[name].numbers == "-"


def test_figures_of_a_tenth_say_so_and_end_with_it(results: Path) -> None:
    figure = compile.draw_figure("he2015_residual/fig6", "tenth", records_of("tenth"))
    assert "tenth of the schedule" in figure.get_supxlabel()
    empty = draw(FIGURES["he2015_residual/fig6"], [], scale=preset_scale("tenth"))
    assert empty.axes[0].get_xlim() == (0, 6_400)
    full = compile.draw_figure("he2015_residual/fig6", "paper", records_of("paper"))
    assert not full.get_supxlabel()
    assert full.axes[1].get_ylim() == (0, 20), "the paper's"


@pytest.mark.parametrize(
    ("error", "top"), [(16.26, 40), (23.9, 40), (35.9, 80), (49.12, 100), (90.0, 100)]
)
def test_figures_of_a_tenth_reach_as_high_as_its_errors(
    error: float, top: float, results: Path
) -> None:
    for path in (results / "tenth").rglob("summary.json"):
        errors = json.loads(path.read_text(encoding="utf-8"))["test_error"]
        seal(path.parent, test_error=errors | {"last": error})
    figure = compile.draw_figure("he2015_residual/fig6", "tenth", records_of("tenth"))
    assert figure.axes[1].get_ylim() == (0, top)


def test_compiled_results_lie_apart(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compile.main(["table", TABLE6, "--preset", "tenth"]) == 0
    assert (results / "tenth" / "tables" / f"{TABLE6}.md").exists()
    assert not (results / "tables").exists()
    monkeypatch.setattr(report_page, "FIGURES", ("he2015_residual/fig6",))
    assert report.main() == 0
    pages = {name: (results / "report" / name).read_text() for name in ("index.html", "tenth.html")}
    for page in pages.values():
        assert 'href="index.html"' in page and 'href="tenth.html"' in page
    assert "Not the full schedule" in pages["tenth.html"]
    assert "Not the full schedule" not in pages["index.html"]
    links = re.findall(r'href="(\.\./[^"]+)"', pages["tenth.html"])
    assert any(link.endswith("metrics.csv") for link in links)
    assert all((results / "report" / link).exists() and "/tenth/" in link for link in links)
    assert re.search(r"reproduce-table TABLE=\S+ ROWS=resnet20 PRESET=tenth", pages["tenth.html"])


def test_plans_know_how_long_a_tenth_is() -> None:
    (job, *_) = table_jobs(TABLE6, preset="tenth")
    assert (job.run, job.iterations, job.batch) == (f"{RESNET20}/cifar10_aug/seed0", 6_400, 128)
    assert "preset=tenth" in job.arguments and job.finished.parts[:2] == ("results", "tenth")
    assert parse_run(job.run, "tenth") == job


def test_the_queue_names_every_row_on_small_images_once() -> None:
    jobs = listed_jobs(ROOT / "experiments" / "queue_tenth.txt", "tenth")
    rows = {(job.experiment, job.dataset) for job in jobs if job.seed == 0}
    assert rows == {key for key in all_rows() if key[1] != "imagenet"}
    assert len(set(jobs)) == len(jobs) and all(isinstance(job, Job) for job in jobs)


def test_a_tenth_is_trained_recorded_and_evaluated_again(
    tmp_path: Path, command: Callable[..., Ended]
) -> None:
    """On digits, whose record says so and enters no table."""
    changes = ["recipe.length=300", "recipe.milestones=[100,200]", "recipe.warmup_iterations=25"]
    row = [f"experiment={RESNET20}", "data=digits", "model.depth=8", *changes]

    def run(program: str, *arguments: str) -> str:
        ended = command(program, *arguments, "device=cpu", "threads=1")
        assert ended.code == 0, ended.err
        return ended.out

    run("train.py", *row, "preset=tenth", "seed=0")
    (record,) = load_all(tmp_path / "results" / "tenth" / "runs", "tenth")
    metrics = record.metrics()
    assert record.summary["iterations"] == 30 == metrics["iteration"].iloc[-1]
    assert list(metrics["lr"]) == pytest.approx([0.01, 0.001, 0.001]), "12, 24, 30 iterations"
    assert record.objections
    found = run("eval.py", f"run='{record.folder}'", "json=true")
    error = json.loads(found.splitlines()[-1])["top1"]
    assert error == pytest.approx(record.error("exported"), abs=0.01)
    assert not list(tmp_path.rglob("results/**/*.safetensors")), "its row was changed"


@pytest.mark.parametrize(
    ("seed", "changes", "size", "shipped"),
    [
        (0, [], 4 * 2**20, True),
        (0, [], 4 * 2**20 + 1, False),
        (1, [], 100, False),
        (0, ["precision=bf16"], 100, False),
    ],
)
def test_small_weights_of_a_row_and_seed_0_are_shipped(
    seed: int, changes: list[str], size: int, shipped: bool, tmp_path: Path,
    settings_of: Callable[..., Settings],
) -> None:  # fmt: skip
    """Those that decide a claim: 30 MB in all have to do."""
    settings = settings_of(f"experiment={RESNET20}", "preset=tenth", f"seed={seed}", *changes)
    settings = replace(
        settings, output_dir=str(tmp_path / "outputs"), results_dir=str(tmp_path / "results")
    )
    run = NamedRun(settings, RESNET20, run_name(RESNET20, changes, "cifar10_aug", seed))
    run.working.mkdir(parents=True)
    for name in PARTS:
        (run.working / name).touch()
    (run.working / WEIGHTS).write_bytes(bytes(size))
    ship(run)
    assert is_finished(run.record) and run.weights.exists() == shipped
