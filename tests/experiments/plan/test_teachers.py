"""Students and their teachers in plans: which run that is, in which order, and what is lacking."""

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments import reproduce
from experiments.plan import overview
from experiments.plan.jobs import Job
from experiments.plan.plan import listed_jobs, make_plan, table_jobs, with_teachers
from experiments.plan.states import waits_for
from training.settings.settings import Settings

MAXOUT, FITNET = "goodfellow2013_maxout/table3/maxout", "romero2015_fitnet/table1/fitnet19"
STUDENT = Job(FITNET, "cifar100_aug", 2, "paper")


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path / "outputs"))


def teacher_of(job: Job) -> Job:
    assert job.teacher is not None
    return job.teacher


def leave_record(job: Job) -> None:
    """As a run does that has ended, without its weights."""
    job.finished.mkdir(parents=True)
    (job.finished / "summary.json").write_text('{"status": "finished"}')


def leave_weights(job: Job) -> None:
    job.working.mkdir(parents=True, exist_ok=True)
    job.weights.touch()


@pytest.mark.parametrize(("dataset", "preset"), [("cifar100_aug", "tenth"), ("digits", "smoke")])
def test_train_py_reads_the_weights_of_the_run_that_is_planned(
    dataset: str, preset: str, settings_of: Callable[..., Settings]
) -> None:
    job = Job(FITNET, dataset, 3, preset)
    teacher = teacher_of(job)
    assert teacher.run == f"{MAXOUT}/{dataset}/seed3"
    assert settings_of(*job.arguments).recipe.teacher == str(teacher.weights)
    assert teacher.teacher is None and Job(MAXOUT, dataset, 3, preset).teacher is None


def test_a_teacher_comes_before_its_student_even_where_nobody_listed_it(tmp_path: Path) -> None:
    jobs = table_jobs("he2016_identity/table4", preset="paper", rows="nin,fitnet19")
    planned = [f"{job.experiment}/{job.dataset}" for job in with_teachers(jobs)]
    assert planned[-4:] == [f"{row}/{data}" for data in ("cifar10_aug", "cifar100_aug")
                            for row in (MAXOUT, FITNET)]  # fmt: skip
    listed = tmp_path / "runs.txt"
    listed.write_text(f"{STUDENT.run}\n{teacher_of(STUDENT).run}\n")
    assert with_teachers(listed_jobs(listed, "paper")) == [teacher_of(STUDENT), STUDENT]
    leave_record(STUDENT)  # which then needs nobody
    assert with_teachers([STUDENT]) == [STUDENT]


def test_a_student_waits_for_weights() -> None:
    assert waits_for(STUDENT) == teacher_of(STUDENT)
    leave_weights(teacher_of(STUDENT))
    assert waits_for(STUDENT) is None


def test_a_plan_says_which_weights_are_lacking(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "uncommitted", list)  # git is asked by a process
    arguments = ["--table", "he2015_residual/table6", "--rows", "fitnet19", "--preset", "paper"]
    job = Job(FITNET, "cifar10_aug", 0, "paper")

    def printed() -> str:
        assert reproduce.main([*arguments, "--plan"]) == 0
        return " ".join(capsys.readouterr().out.split())

    assert "0 of 2 runs done" in (plan := printed()) and "is missing" not in plan
    leave_record(teacher_of(job))  # as in a checkout: its 33 MB of weights are not in it
    plan = printed()
    assert "weights.safetensors, are missing (state of that run: done)" in plan
    assert f"train.py experiment={FITNET} seed=0 preset=paper data=cifar10_aug recipe.teach" in plan
    leave_weights(teacher_of(job))
    assert "is missing" not in printed()
    assert not overview.without_teachers(make_plan([job]))
