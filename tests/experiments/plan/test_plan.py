"""The plan of a table or a list: what is done, what the rest takes, what cannot be planned."""

import json
import shutil
import subprocess
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from experiments import compile, reproduce, train
from experiments.execution import command
from experiments.papers import conf
from experiments.papers.conf import PlanError
from experiments.papers.rows import facts
from experiments.plan import estimate, machine, overview
from experiments.plan.jobs import Job, parse_run
from experiments.plan.plan import Entry, listed_jobs, make_plan, table_jobs
from experiments.plan.states import Failure, note_failure
from experiments.verdicts.records import RunRecord
from records.exits import BAD_CONFIG
from records.files import ROOT
from records.lock import locked
from records.names import run_name
from records.words import duration
from tests.sealed import seal
from training.settings.config import named
from training.settings.settings import Settings

GOLDEN = ROOT / "tests" / "golden" / "runs"
TABLE6 = "he2015_residual/table6"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path / "outputs"))
    monkeypatch.setattr(compile.readme, "update", lambda: False)


def plan_of(preset: str = "paper", seeds: str = "paper", rows: str = "") -> list[Entry]:
    return make_plan(table_jobs(TABLE6, preset=preset, seeds=seeds, rows=rows))


def states(entries: list[Entry]) -> dict[str, str]:
    return {f"{e.job.experiment.rpartition('/')[2]}/{e.job.seed}": e.state for e in entries}


def test_the_paper_ran_resnet110_five_times() -> None:
    jobs = table_jobs(TABLE6, preset="paper")
    counts = [sum(job.experiment.endswith(f"resnet{d}") for job in jobs)
              for d in (20, 32, 44, 56, 110, 1202)]  # fmt: skip
    assert counts == [1, 1, 1, 1, 5, 1]
    assert len(table_jobs(TABLE6, preset="paper", seeds="3")) == 33
    assert len(table_jobs(TABLE6, preset="tenth")) == 11


def test_where_runs_stand(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "results" / "runs")
    shutil.rmtree(tmp_path / "results" / "runs" / TABLE6 / "resnet110" / "cifar10_aug" / "seed3")
    jobs = {
        job.seed: job for job in table_jobs(TABLE6, preset="paper", seeds="9", rows="resnet110")
    }
    for seed in (3, 6, 7):
        jobs[seed].working.mkdir(parents=True)
        (jobs[seed].working / "checkpoint-00000010-0123456789abcdef.pt").touch()
    note_failure(jobs[7], Failure(1, "ValueError: it broke\nmore", ""))
    with locked(jobs[6].working):
        entries = plan_of(seeds="9", rows="resnet44,resnet110")
    found = states(entries)
    assert found["resnet44/0"] == "diverged" and found["resnet44/1"] == "missing"
    assert [found[f"resnet110/{k}"] for k in (0, 1, 2, 4)] == ["done"] * 4
    assert [found[f"resnet110/{k}"] for k in (3, 5, 6, 7)] == [
        "resumable", "missing", "running", "failed"]  # fmt: skip
    assert overview.failures(entries) == [f"{jobs[7].run}: ValueError: it broke"]
    assert overview.table(entries[-9:])["State"].tolist() == [
        "4 done, 1 resumable, 2 missing, 1 running, 1 failed"
    ]
    assert states(plan_of(seeds="9", rows="resnet110"))["resnet110/6"] == "resumable"
    with locked(jobs[7].working):  # tried again by hand
        assert states(plan_of(seeds="9", rows="resnet110"))["resnet110/7"] == "running"


def test_changed_rows_have_lines_of_their_own() -> None:
    same = [f"{TABLE6}/resnet20/cifar10_aug/seed{seed}" for seed in (1, 2)]
    runs = [same[0], f"{TABLE6}/resnet20+precision=bf16/cifar10_aug/seed0", same[1]]
    table = overview.table(make_plan([parse_run(run) for run in runs]))
    assert table["Row"].tolist() == ["resnet20", "resnet20+precision=bf16"]
    assert table["State"].tolist() == ["2 missing", "missing"]


def test_results_of_a_list(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "results" / "runs")
    runs = [f"{TABLE6}/resnet110/cifar10_aug/seed0", f"{TABLE6}/resnet44/cifar10_aug/seed0",
            f"{TABLE6}/resnet44/cifar10_aug/seed1"]  # fmt: skip
    table = overview.results([parse_run(run) for run in runs])
    assert table["State"].tolist() == ["done", "diverged", "missing"]
    assert table["Test error (%)"].tolist() == ["6.50", "", ""]


def test_the_plan_says_what_will_enter_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    changed: list[str] = []
    monkeypatch.setattr(overview, "uncommitted", lambda: changed)
    plan = plan_of(rows="resnet20,resnet32")
    assert overview.in_no_table(plan) == []
    changed += ["conf/recipe/he2015.yaml", "models/resnet.py"]
    (line,) = overview.in_no_table(plan)
    assert "conf/recipe/he2015.yaml and 1 more have uncommitted changes" in line
    assert overview.in_no_table(plan_of(preset="smoke")) == []
    changed.clear()
    bf16 = parse_run(f"{TABLE6}/resnet20+precision=bf16/cifar10_aug/seed0")
    (line,) = overview.in_no_table([*plan, *make_plan([bf16])])
    assert "enter no table: 1 of these" in line and "+precision=bf16" in line


def test_the_plan_says_time_disk_and_what_is_done(tmp_path: Path) -> None:
    text = overview.summary(plan_of())
    assert "0 of 19 runs done" in text and "GB free" in text and "MB of disk" in text
    shutil.copytree(GOLDEN, tmp_path / "results" / "runs")
    assert overview.summary(plan_of(rows="resnet110")) == "all 5 runs are done."


def test_times_are_of_what_is_still_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "device_name", lambda: "A card")
    (job,) = table_jobs(TABLE6, preset="paper", rows="resnet20")
    done, timed, counted = (
        Entry(job, "done", 86_400, 86_400, timed=True),
        Entry(job, "resumable", 7_200, 3_600, timed=True),
        Entry(job, "missing", 7_200, 3_600),
    )
    (row,) = overview.table([done, timed, counted]).to_dict("records")
    assert (row["Here"], row["H100"]) == (duration(14_400), duration(7_200))
    (row,) = overview.table([done]).to_dict("records")
    assert (row["Here"], row["H100"]) == ("", "")
    said = overview.summary([done, timed, counted])
    assert f"1 of 3 runs done; the others take about {duration(14_400)}" in said
    assert "Times of 1 of 2 runs are from records made on this A card; the others are" in said
    assert "Times are from records made on this A card." in overview.summary([done, timed])


def test_disk_is_for_the_largest_runs_side_by_side_and_the_weights_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three checkpoints of 8 bytes a parameter, where two are kept; weights of 2 bytes."""
    jobs = table_jobs(TABLE6, preset="paper", rows="resnet20,resnet1202", seeds="9")
    small, large = jobs[0].facts.params, jobs[-1].facts.params
    weights = 2 * 9 * (small + large)
    for count, together in ((0, large), (1, 8 * large), (2, 9 * large + 7 * small)):
        cards = {str(number): machine.Gpu("A card", None) for number in range(count)}
        monkeypatch.setattr(estimate, "gpus", lambda cards=cards: cards)
        assert estimate.disk_of_all(jobs) == 24 * together + weights


def test_what_takes_an_hour_is_asked_about_unless_it_ends_by_itself() -> None:
    (job,) = table_jobs(TABLE6, preset="paper", rows="resnet20")
    long, done = Entry(job, "missing", 3_700, 1), Entry(job, "done", 86_400, 1)
    asked = Namespace(plan=False, yes=False, minutes="")
    assert command.why_not([long, done], asked) == BAD_CONFIG
    assert command.why_not([done, replace(long, seconds=3_500)], asked) is None
    for given in ({"yes": True}, {"minutes": "30"}):
        assert command.why_not([long], Namespace(**(vars(asked) | given))) is None


@pytest.mark.parametrize(
    ("asked", "card", "preset"),
    [("auto", True, "paper"), ("auto", False, "smoke"), ("tenth", True, "tenth")],
)
def test_only_a_gpu_trains_whole_recipes_unasked(
    asked: str, card: bool, preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = {"0": machine.Gpu("A card", None)} if card else {}
    monkeypatch.setattr(command, "gpus", lambda: cards)
    assert command.chosen_preset(Namespace(preset=asked)) == preset


def test_the_plan_warns_of_a_small_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "free_bytes", lambda _: 1e6)
    assert "The disk may fill up" in overview.summary(plan_of())


def test_estimates_grow_with_the_network() -> None:
    seconds = [entry.seconds for entry in plan_of() if "/resnet" in entry.job.experiment]
    assert seconds[0] < seconds[1] < seconds[3] < seconds[4] < seconds[-1]


def test_estimates_come_from_records_of_this_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "device_name", lambda: "this one")
    (before,) = plan_of(rows="resnet20")
    folder = tmp_path / "results/runs" / TABLE6 / "resnet20/cifar10_aug/seed5"
    shutil.copytree(GOLDEN / TABLE6 / "resnet20/cifar10_aug/seed0", folder)
    changed = {"run": f"{TABLE6}/resnet20/cifar10_aug/seed5", "seed": 5, "seconds": 640.0,
               "iterations": 64000, "macs": 1, "bn_batch": 128}  # fmt: skip
    for device, expected in (("another", before.seconds), ("this one", 640 + 8)):
        seal(folder, **changed, device=device)
        (entry,) = plan_of(rows="resnet20")
        assert entry.seconds == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changes", "paused", "known"),
    [
        ({}, 0, (True, True)),
        ({"seconds": 640.0 + 3600}, 3600, (True, True)),
        ({"runs_at_once": 2}, 0, (False, False)),
        ({"run": f"{TABLE6}/resnet20+precision=bf16/cifar10_aug/seed0"}, 0, (True, False)),
    ],
    ids=["alone", "suspended", "side by side", "changed"],
)
def test_a_pace_is_that_of_a_run_alone_and_of_its_network_if_nothing_is_changed(
    changes: dict[str, object], paused: int, known: tuple[bool, bool],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """64,000 iterations in 640 s."""
    monkeypatch.setattr(estimate, "device_name", lambda: "this one")
    folder = GOLDEN / TABLE6 / "resnet20/cifar10_aug/seed0"
    frame = pd.read_csv(folder / "metrics.csv")
    frame.loc[2:, "seconds"] += paused
    frame.to_csv(tmp_path / "metrics.csv", index=False)
    summary = json.loads((folder / "summary.json").read_text()) | {
        "seconds": 640.0, "device": "this one", "macs": 40_551_040, "bn_batch": 128,
    }  # fmt: skip
    record = RunRecord(tmp_path, summary | changes)
    found = estimate.recorded_pace([record])
    run, network = record.run.removesuffix("/seed0"), (269_722, 40_551_040, 128)
    assert found.runs == pytest.approx({run: 0.01} if known[0] else {})
    assert found.networks == pytest.approx({network: 0.01} if known[1] else {})


def test_the_pace_of_a_network_is_not_that_of_a_changed_run() -> None:
    """As bf16 makes a step cheaper."""
    row = Job(f"{TABLE6}/resnet20", AUGMENTED, 1, "paper")
    network = (row.facts.params, row.facts.macs, row.batch)
    pace = estimate.Pace({}, {network: 0.01})
    assert estimate.recorded(row, pace) == 0.01
    assert estimate.recorded(replace(row, overrides=("precision=bf16",)), pace) is None


def test_a_tenth_tells_the_pace_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "device_name", lambda: "this one")
    folder = tmp_path / "results/tenth/runs" / TABLE6 / "resnet20/cifar10_aug/seed0"
    shutil.copytree(GOLDEN / TABLE6 / "resnet20/cifar10_aug/seed0", folder)
    seal(folder, preset="tenth", seconds=64.0, iterations=6400, device="this one", macs=1,
         bn_batch=128)  # fmt: skip
    (entry,) = plan_of(rows="resnet20")
    assert entry.timed and entry.seconds == pytest.approx(640 + estimate.START_SECONDS)


RESNET18, AUGMENTED = "he2015_residual/table2/resnet18", "cifar10_aug"


@pytest.mark.parametrize(
    ("job", "row", "share"),
    [
        (Job(f"{TABLE6}/resnet20", "digits", 0, "smoke"), (f"{TABLE6}/resnet20", AUGMENTED), 1 / 4),
        (Job(RESNET18, "imagenette", 0, "imagenette"), (RESNET18, "imagenet"), (64 / 224) ** 2),
        # As much as the shallower row itself.
        (Job(f"{TABLE6}/resnet110", AUGMENTED, 0, "paper", ("model.depth=56",)),
         (f"{TABLE6}/resnet56", AUGMENTED), 1),
    ],
    ids=["16 of 32 pixels", "64 of 224", "half as deep"],
)  # fmt: skip
def test_an_image_takes_a_twin_its_share_of_the_work(
    job: Job, row: tuple[str, str], share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "gpus", dict)
    nothing = estimate.Pace({}, {})
    twin, whole = (
        (estimate.seconds_here(one, nothing) - estimate.START_SECONDS) / one.iterations / one.batch
        for one in (job, Job(*row, 0, "paper"))
    )
    assert twin / whole == pytest.approx(share, rel=0.05)


def test_a_gpu_trains_a_shallower_twin_as_fast_as_the_shallower_row() -> None:
    job = Job(f"{TABLE6}/resnet110", AUGMENTED, 0, "paper", ("model.depth=56",))
    row = Job(f"{TABLE6}/resnet56", AUGMENTED, 0, "paper")
    seconds = [estimate.seconds_on_gpu(one) for one in (job, row)]
    assert seconds[0] == pytest.approx(seconds[1], rel=0.05)


@pytest.mark.parametrize(
    ("preset", "dataset", "of_row", "iterations"),
    [
        ("paper", "imagenet", 600_000, 600_000),
        ("imagenette", "imagenette", 600_000, 15 * 296),  # 9,469 images, 32 at a time
        ("short", "imagenet", 600_000, 2_000),
        ("short", "imagenet", 1_500, 1_500),
    ],
)
def test_how_long_presets_train(
    preset: str, dataset: str, of_row: int, iterations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = facts(RESNET18, "imagenet")
    assert known is not None
    row = replace(known, iterations=of_row)
    monkeypatch.setattr("experiments.plan.jobs.facts", lambda *_: row)
    assert Job(known.experiment, dataset, 0, preset).iterations == iterations


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"table": "he2015_residual/table7"}, "table6"),
        ({"table": "he2015_residual/table5"}, "has nothing to train; `make table"),
        ({"table": "huang2017_dense/table1"}, "has nothing to train; `make table"),
        (
            {"rows": "resnet21"},
            "ROWS=resnet21: no such row with PRESET=paper; choose from resnet20",
        ),
        ({"rows": ","}, "ROWS=',' names no row; choose from resnet20"),
        ({"rows": " , "}, "names no row"),
        ({"seeds": "0"}, "SEEDS=0"),
        ({"seeds": "many"}, "SEEDS=many"),
        ({"seeds": "10000000000"}, "SEEDS=10000000000 is neither"),
        ({"table": "../config"}, "Unknown table '../config'"),
    ],
)
def test_what_cannot_be_planned_is_named(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        table_jobs(**({"table": TABLE6, "preset": "paper"} | arguments))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("  params", "\tparams"), "found character '.t'"),
        (lambda _: "", "it needs hydra.sweeper"),
        (lambda text: text + "  # \0", "not allowed"),
        (lambda text: text.replace("sweeper:", "sweper:"), "it needs hydra.sweeper"),
        (lambda text: text.replace("resnet20,", "resnet20"), "rows.0 is 'he2015_residual/table6"),
        (lambda text: text.replace("title:", "titel:"), "title: Field required"),
        (lambda text: text.replace("[cifar10_aug]", "7"), "datasets is 7: Input should be"),
        (lambda text: text + "é", "'utf-8' codec"),
    ],
)
def test_a_mistake_in_the_file_of_a_table_is_named(
    change: Callable[[str], str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"{TABLE6}.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(change((conf.FOLDER / f"{TABLE6}.yaml").read_text()), encoding="latin-1")
    monkeypatch.setattr(conf, "FOLDER", tmp_path)
    conf.planned.cache_clear()
    conf.table_config.cache_clear()
    try:
        with pytest.raises(PlanError, match=message) as caught:
            table_jobs(TABLE6, preset="paper")
        assert str(path) in str(caught.value) and str(caught.value).count("\n") < 3
    finally:
        conf.planned.cache_clear()
        conf.table_config.cache_clear()


def test_smoke_rows_show_the_degradation() -> None:
    rows = [entry.job.run for entry in plan_of("smoke")]
    names = ("fig6/plain20", "fig6/plain56", "table6/resnet20", "table6/resnet56")
    assert rows == [f"he2015_residual/{name}/digits/seed0" for name in names]


@pytest.mark.parametrize(
    "name",
    [
        f"{TABLE6}/resnet20/cifar10_aug/seed0",
        f"{TABLE6}/resnet20+precision=bf16/cifar10_aug/seed12",
        f"{TABLE6}/resnet20+model.depth=8+recipe.lr=0.2/cifar10_aug/seed3",
    ],
)
def test_a_run_is_known_by_its_name(name: str) -> None:
    job = parse_run(name)
    assert job.run == name
    # train.py, which is given these, names it so.
    assert run_name(job.experiment, named(job.arguments), job.dataset, job.seed) == name


def test_a_list_of_runs(tmp_path: Path) -> None:
    path = tmp_path / "runs.txt"
    one = f"{TABLE6}/resnet20/cifar10_aug/seed0"
    path.write_text(f"# first\n{one}\n\n{one}  # again\n{TABLE6}/resnet32/cifar10_aug/seed1\n")
    jobs = listed_jobs(path, "paper")
    assert jobs == [
        Job(f"{TABLE6}/resnet20", "cifar10_aug", 0, "paper"),
        Job(f"{TABLE6}/resnet32", "cifar10_aug", 1, "paper"),
    ]


def test_a_small_version_of_a_listed_run_is_on_the_digits(tmp_path: Path) -> None:
    path = tmp_path / "runs.txt"
    path.write_text(f"{TABLE6}/resnet20/cifar10_aug/seed0\n{TABLE6}/resnet20/cifar10/seed0\n")
    assert [job.run for job in listed_jobs(path, "smoke")] == [f"{TABLE6}/resnet20/digits/seed0"]


@pytest.mark.parametrize("preset", ["paper", pytest.param("smoke", marks=pytest.mark.slow)])
@pytest.mark.parametrize("each", [10, pytest.param(1, marks=pytest.mark.slow)])
def test_train_py_names_the_runs_of_the_queue_as_the_plan_does(
    preset: str, each: int, settings_of: Callable[..., Settings]
) -> None:
    for job in listed_jobs(Path("experiments/queue.txt"), preset)[::each]:
        settings = settings_of(*job.arguments)
        changes = named(job.arguments)
        name = run_name(job.experiment, changes, settings.data.name, settings.seed)
        assert name == job.run


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("resnet20", "resnet20 is not a run; runs are named"),
        (f"{TABLE6}/resnet20+recipe.milestones=[1]/cifar10_aug/seed0", "is not a run"),
        (f"{TABLE6}/resnet21/cifar10_aug/seed0", f"Did you mean {TABLE6}/resnet20"),
        (f"{TABLE6}/resnet20/mnist/seed0", "not in results/rows.csv (on cifar10_aug it is)"),
        ("# nothing", "names no run"),
    ],
)
def test_a_list_with_a_line_that_is_no_run_is_refused(
    line: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs.txt"
    path.write_text(line, encoding="utf-8-sig")
    assert train.main(["--runs", str(path), "--preset", "paper"]) == 2
    assert message in capsys.readouterr().err
    assert train.main(["--runs", str(tmp_path / "none.txt")]) == 2
    assert "none.txt cannot be read" in capsys.readouterr().err


def test_every_run_of_the_queue_is_known() -> None:
    assert len(listed_jobs(Path("experiments/queue.txt"), "paper")) > 20


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "uncommitted", list)  # git is asked by a process
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a run was started"))


@pytest.mark.usefixtures("nothing_starts")
class TestWhatStartsNothing:
    def test_a_plan_only(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert reproduce.main(["--plan", "--preset", "paper"]) == 0
        assert "Plan (preset paper)" in capsys.readouterr().out

    def test_more_than_an_hour_asks_first(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert reproduce.main(["--preset", "paper"]) == 2
        assert "YES=1" in capsys.readouterr().err

    def test_a_damaged_record(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        folder = tmp_path / "results/runs" / TABLE6 / "resnet20/cifar10_aug/seed0"
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps({"version": 1})[:-3])
        assert reproduce.main(["--preset", "paper", "--yes"]) == 2
        assert "damaged" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("option", "value", "message"),
        [
            ("--jobs", "0", "JOBS=0"),
            ("--jobs", "many", "JOBS=many"),
            ("--minutes", "soon", "MINUTES=soon"),
        ],
    )
    def test_impossible_numbers(
        self, option: str, value: str, message: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        assert reproduce.main(["--preset", "paper", "--yes", option, value]) == 2
        assert message in capsys.readouterr().err


def test_free_disk_space_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    expected = shutil.disk_usage(tmp_path).free
    assert machine.free_bytes(tmp_path / "a" / "b") == pytest.approx(expected, rel=0.05)


LISTED = """\
0, GPU-aaaa, NVIDIA H200, 143771
1, GPU-bbbb, NVIDIA H200, 143771
"""
H200 = machine.Gpu("NVIDIA H200", 143771 * 2**20)


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, {"0": H200, "1": H200}),
        ("1", {"1": H200}),
        ("GPU-bbbb", {"GPU-bbbb": H200}),
        ("", {}),
        ("-1", {}),
    ],
)
def test_gpus_that_may_be_used(
    visible: str | None,
    expected: dict[str, machine.Gpu],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text(f"#!/bin/sh\ncat <<END\n{LISTED}END\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.gpus.__wrapped__() == expected


def test_a_plan_on_imagenet_says_how_many_gpu_hours_it_takes() -> None:
    table = "he2015_residual/table2"
    entries = make_plan(table_jobs(table, preset="paper", rows="resnet18,resnet34"))
    # 600,000 batches of 256, at the rate at which each network takes them in.
    hours = sum(entry.gpu_seconds for entry in entries) / 3600
    assert f"about {hours:.0f} GPU hours" in overview.summary(entries) and hours > 24


def test_a_plan_on_a_gpu_without_records_times_a_few_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = table_jobs(TABLE6, preset="paper", rows="resnet20,resnet110", seeds="1")
    monkeypatch.setattr("experiments.plan.plan.gpus", lambda: {"0": machine.Gpu("A card", None)})
    monkeypatch.setattr(estimate, "gpus", lambda: {"0": machine.Gpu("A card", None)})
    monkeypatch.setattr(overview, "device_name", lambda: "A card")
    times = {}
    for step in (0.002, 0.004, None):  # None: it could not be timed
        monkeypatch.setattr(estimate, "resnet20_step", lambda step=step: step)
        times[step] = make_plan(jobs, timing=True)
    # ResNet-20 is planned at what its steps took; a card of half the pace takes twice as long.
    resnet20, resnet110 = (entry.seconds - estimate.START_SECONDS for entry in times[0.002])
    assert resnet20 == pytest.approx(64_000 * 0.002) and resnet110 > 4 * resnet20
    assert [e.seconds - estimate.START_SECONDS for e in times[0.004]] == pytest.approx(
        [2 * resnet20, 2 * resnet110]
    )
    assert "ResNet-20 on this A card" in overview.summary(times[0.002])
    assert [e.seconds for e in times[None]] == [e.gpu_seconds for e in times[None]]
    assert "not measured here" in overview.summary(times[None])


@pytest.mark.slow
def test_steps_are_timed_in_a_process_that_has_torch() -> None:
    assert machine.resnet20_step.__wrapped__()


def test_no_steps_are_timed_for_minutes_of_work_or_who_only_looks_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("experiments.plan.plan.gpus", lambda: {"0": machine.Gpu("A card", None)})
    monkeypatch.setattr(estimate, "resnet20_step", lambda: pytest.fail("steps were timed"))
    make_plan(table_jobs(TABLE6, preset="smoke", rows="resnet20"), timing=True)
    make_plan(table_jobs(TABLE6, preset="paper"))  # as `make status` does, while others train


def test_resnet50_is_planned_at_its_published_rate() -> None:
    """NVIDIA, on an A100: 938 images a second in TF32 and 2,470 mixed; memory is 1.6 times faster
    on an H100."""
    (job,) = table_jobs("he2015_residual/table3", preset="paper", rows="resnet50")
    for precision, published in (("tf32", 938), ("bf16", 2470)):
        changed = replace(job, overrides=(f"precision={precision}",))
        seconds = estimate.seconds_on_gpu(changed) - estimate.START_SECONDS
        assert job.iterations * job.batch / seconds == pytest.approx(1.6 * published, rel=0.1)


def test_few_cores_make_a_gpu_wait_for_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    """240 images per core and second: eight cores feed ResNet-50 (1,500 a second), no ResNet-18."""
    gpu = {"0": machine.Gpu("A card", None)}
    deep = table_jobs("he2015_residual/table3", preset="paper", rows="resnet50")
    shallow = table_jobs("he2015_residual/table2", preset="paper", rows="resnet18")
    monkeypatch.setattr(estimate, "gpus", lambda: gpu)
    for count, waits in ((8, (False, True)), (64, (False, False)), (2, (True, True))):
        monkeypatch.setattr(estimate, "cores", lambda count=count: count)
        here = [estimate.seconds_here(job, estimate.Pace({}, {})) for job in (*deep, *shallow)]
        alone = [estimate.seconds_on_gpu(job) for job in (*deep, *shallow)]
        assert tuple(a > 1.01 * b for a, b in zip(here, alone, strict=True)) == waits
    rate = shallow[0].iterations * shallow[0].batch / (here[1] - estimate.START_SECONDS)
    assert rate == pytest.approx(480)


def test_the_preset_imagenette_is_for_rows_on_imagenet() -> None:
    jobs = table_jobs("he2015_residual/fig4", preset="imagenette")
    assert [job.run.split("/")[2:] for job in jobs] == [
        [row, "imagenette", "seed0"] for row in ("plain18", "resnet18", "plain34", "resnet34")
    ]
    assert jobs[0].arguments == [
        "experiment=he2015_residual/table2/plain18", "seed=0", "preset=imagenette",
    ]  # fmt: skip
    with pytest.raises(PlanError, match="has no rows on ImageNet"):
        table_jobs("he2015_residual/table6", preset="imagenette")
