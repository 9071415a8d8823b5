"""The plan of a table and what `reproduce-table` does with it."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import IO

import pytest

from experiments import plan, reproduce
from experiments.folders import runs_folder
from experiments.plan import Job, PlanError, describe, make_plan

GOLDEN = Path(__file__).parent / "golden" / "runs"
TABLE6 = "he2015_residual/table6"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path / "outputs"))
    monkeypatch.setattr(reproduce.readme, "update", lambda: False)


def states(jobs: list[Job]) -> dict[str, str]:
    return {f"{job.experiment.rpartition('/')[2]}/{job.seed}": job.state for job in jobs}


def test_the_paper_ran_resnet110_five_times() -> None:
    jobs = make_plan(TABLE6, preset="paper")
    counts = [sum(job.experiment.endswith(f"resnet{d}") for job in jobs)
              for d in (20, 32, 44, 56, 110, 1202)]  # fmt: skip
    assert counts == [1, 1, 1, 1, 5, 1]
    assert len(make_plan(TABLE6, preset="paper", seeds="3")) == 18


def test_done_diverged_resumable_and_missing_runs(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "results" / "runs")
    shutil.rmtree(tmp_path / "results" / "runs" / TABLE6 / "resnet110" / "cifar10_aug" / "seed3")
    run = tmp_path / "outputs/runs/paper" / TABLE6 / "resnet110/cifar10_aug/seed3"
    run.mkdir(parents=True)
    (run / "checkpoint.pt").touch()
    found = states(make_plan(TABLE6, preset="paper", seeds="6", rows="resnet44,resnet110"))
    assert found["resnet44/0"] == "diverged" and found["resnet44/1"] == "missing"
    assert found["resnet110/3"] == "resumable" and found["resnet110/5"] == "missing"
    assert [found[f"resnet110/{k}"] for k in (0, 1, 2, 4)] == ["done"] * 4


def test_the_plan_says_time_disk_and_what_is_done(tmp_path: Path) -> None:
    text = describe(make_plan(TABLE6, preset="paper"))
    assert "0 of 10 runs done" in text and "GB free" in text and "MB of disk" in text
    shutil.copytree(GOLDEN, tmp_path / "results" / "runs")
    assert describe(make_plan(TABLE6, preset="paper", rows="resnet110")).endswith(
        "All 5 runs are done."
    )


def test_estimates_grow_with_the_network() -> None:
    seconds = [job.seconds for job in make_plan(TABLE6, preset="paper")]
    assert seconds[0] < seconds[1] < seconds[3] < seconds[4] < seconds[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"table": "he2015_residual/table7"}, "table6"),
        ({"table": "he2015_residual/table5"}, "trains nothing of its own; `make table"),
        ({"table": "huang2017_dense/table1"}, "trains nothing of its own; `make table"),
        (
            {"rows": "resnet21"},
            "ROWS=resnet21: no such row with PRESET=paper; choose from resnet20",
        ),
        ({"seeds": "0"}, "SEEDS=0"),
        ({"seeds": "many"}, "SEEDS=many"),
    ],
)
def test_what_cannot_be_planned_is_named(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        make_plan(**({"table": TABLE6, "preset": "paper"} | arguments))


def test_smoke_rows_show_the_degradation() -> None:
    rows = [job.run for job in make_plan(TABLE6, preset="smoke")]
    names = ("fig6/plain20", "fig6/plain56", "table6/resnet20", "table6/resnet56")
    assert rows == [f"he2015_residual/{name}/digits/seed0" for name in names]


def test_plan_only_starts_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a run was started"))
    assert reproduce.main(["--plan", "--preset", "paper"]) == 0
    assert "Plan (preset paper)" in capsys.readouterr().out


def test_more_than_an_hour_asks_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a run was started"))
    assert reproduce.main(["--preset", "paper"]) == 2
    assert "YES=1" in capsys.readouterr().err


class FakeRun:
    """Stands in for a training process: leaves a record, or ends with a code."""

    codes: dict[str, int] = {}  # noqa: RUF012
    started: list[str] = []  # noqa: RUF012

    def __init__(self, command: list[str], **_: object):
        choices = dict(part.split("=", 1) for part in command[2:])
        self.row, self.seed = choices["experiment"], choices["seed"]
        FakeRun.started.append(self.row.rpartition("/")[2])

    def wait(self) -> int:
        code = FakeRun.codes.get(self.row.rpartition("/")[2], 0)
        if code == 0:
            run = f"{self.row}/cifar10_aug/seed{self.seed}"
            target = runs_folder("paper") / run
            shutil.copytree(GOLDEN / run, target)
        return code


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeRun]:
    FakeRun.codes, FakeRun.started = {}, []
    monkeypatch.setattr(subprocess, "Popen", FakeRun)
    return FakeRun


ARGUMENTS = ["--preset", "paper", "--yes", "--rows", "resnet20,resnet32,resnet44"]


def test_a_failing_run_does_not_stop_the_others(
    fake: type[FakeRun], capsys: pytest.CaptureFixture[str]
) -> None:
    fake.codes = {"resnet32": 1}
    assert reproduce.main(ARGUMENTS) == 1
    assert fake.started == ["resnet20", "resnet32", "resnet44"]
    printed = capsys.readouterr()
    assert "resnet32/cifar10_aug/seed0: exit code 1" in printed.err
    assert "8.40" in printed.out.rpartition("Plan")[2]
    fake.codes, fake.started = {}, []
    assert reproduce.main(ARGUMENTS) == 0
    assert fake.started == ["resnet32"], "only what was missing runs again"


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_ends_the_plan_whatever_the_run_ends_with(
    sent: signal.Signals, code: int, fake: type[FakeRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed_while_it_starts(run: FakeRun) -> int:
        os.kill(os.getpid(), sent)
        return -sent

    monkeypatch.setattr(fake, "wait", killed_while_it_starts)
    monkeypatch.setattr(fake, "send_signal", lambda *_: None, raising=False)
    assert reproduce.main(ARGUMENTS) == code
    assert fake.started == ["resnet20"]


def test_an_interrupted_run_ends_the_plan(fake: type[FakeRun]) -> None:
    fake.codes = {"resnet20": 130}
    assert reproduce.main(ARGUMENTS) == 130
    assert fake.started == ["resnet20"]


def test_a_damaged_record_is_named_before_anything_runs(
    fake: type[FakeRun], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results/runs" / TABLE6 / "resnet20/cifar10_aug/seed0"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps({"version": 1})[:-3])
    assert reproduce.main(ARGUMENTS) == 2
    assert "damaged" in capsys.readouterr().err and not fake.started


def test_free_disk_space_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    expected = shutil.disk_usage(tmp_path).free
    assert plan.free_bytes(tmp_path / "a" / "b") == pytest.approx(expected, rel=0.05)


class FakeGroup(FakeRun):
    """Stands in for a process of runs side by side: dies at one of its runs, whose row `kills`."""

    kills = ""

    def __init__(self, command: list[str], stdin: IO[str], **_: object):
        self.at_once = command[command.index("--at-once") + 1]
        self.outcomes = Path(command[command.index("--outcomes") + 1])
        self.jobs = [dict(part.split("=", 1) for part in job) for job in json.load(stdin)]
        FakeRun.started.append(f"{self.at_once}: {len(self.jobs)}")

    def wait(self) -> int:
        for number, job in enumerate(self.jobs):
            self.row, self.seed = job["experiment"], job["seed"]
            if self.row.endswith(FakeGroup.kills):
                return -9
            code = super().wait()
            with self.outcomes.open("a") as file:
                file.write(json.dumps({"job": number, "code": code}) + "\n")
        return 0


def test_the_run_that_kills_its_company_is_found_and_the_others_finish(
    fake: type[FakeRun], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subprocess, "Popen", FakeGroup)
    monkeypatch.setattr(FakeGroup, "kills", "resnet32")
    monkeypatch.setattr(reproduce, "has_gpu", lambda: True)
    assert reproduce.main([*ARGUMENTS, "--jobs", "4"]) == 1
    # Twice side by side, then one by one; the guilty one is left out after its turn.
    assert fake.started == ["4: 3", "4: 2", "1: 2", "1: 1"]
    printed = capsys.readouterr()
    assert "resnet32/cifar10_aug/seed0: exit code -9" in printed.err
    assert "resnet44/cifar10_aug/seed0" not in printed.err


@pytest.mark.parametrize("jobs", ["0", "many", "2"])
def test_an_impossible_number_of_runs_at_once_is_refused(
    jobs: str, fake: type[FakeRun], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(reproduce, "has_gpu", lambda: False)
    assert reproduce.main([*ARGUMENTS, "--jobs", jobs]) == 2
    assert f"JOBS={jobs}" in capsys.readouterr().err and not fake.started
