"""Students and their teachers in plans: which run that is, in which order, and what is lacking."""

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.plan.jobs import Job
from experiments.plan.plan import listed_jobs, table_jobs, with_teachers
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
