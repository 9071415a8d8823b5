"""Plans that are carried out by real processes: what fails is retried, reported, and left alone."""

import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from experiments import compile, reproduce, status
from experiments.execution import execute, launch
from experiments.execution.command import report
from experiments.execution.display import Display, progress_lines
from experiments.execution.execute import Device, Execution
from experiments.execution.sweeps import registered, under_way
from experiments.plan.jobs import Job
from experiments.plan.plan import Entry, make_plan, with_teachers
from experiments.plan.states import Failure, failure_of, is_locked, note_failure, state_of
from records.exits import BUSY
from records.lock import locked
from records.words import duration

STAND_IN = ("tests/stand_in.py",)
ROW = "he2015_residual/table6/resnet20"
FITNET = "romero2015_fitnet/table1/fitnet19"


@pytest.fixture(autouse=True)
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are stood in for by a script that needs no torch."""
    monkeypatch.setattr(launch, "ENTRY", STAND_IN)
    monkeypatch.setattr(execute, "POLL_SECONDS", 0.02)
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path / "outputs"))
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("EXECUTED", str(tmp_path / "executed"))
    monkeypatch.setattr(compile.readme, "update", lambda: False)


@pytest.fixture
def behave(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Tell runs, by seed, how to go wrong."""

    def tell(**behaviour: str) -> None:
        behaviours = {name.removeprefix("seed"): how for name, how in behaviour.items()}
        monkeypatch.setenv("BEHAVIOUR", json.dumps(behaviours))

    return tell


def leave_record(job: Job) -> None:
    job.finished.mkdir(parents=True)
    (job.finished / "summary.json").write_text('{"status": "finished"}')


def jobs(count: int) -> list[Job]:
    return [Job(ROW, "cifar10_aug", seed, "paper") for seed in range(count)]


def carry_out(todo: list[Job], **how: object) -> Execution:
    plan = make_plan(todo)
    given = {"devices": [Device()]} | how
    execution = Execution(todo, display=Display(plan), **given)  # type: ignore[arg-type]
    execution.run()
    return execution


def executed(tmp_path: Path) -> Counter[str]:
    path = tmp_path / "executed"
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


def test_sixteen_of_twenty_finish_and_the_next_call_runs_the_other_four(
    tmp_path: Path, behave: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    behave(seed3="raise", seed7="kill", seed11="hang", seed15="memory")
    execution = carry_out(jobs(20), patience=2.0)
    states = [state_of(job) for job in jobs(20)]
    assert states.count("done") == 16
    assert [k for k, state in enumerate(states) if state == "failed"] == [3, 7, 11, 15]
    reasons = {job.seed: failure.reason for job, failure in execution.failures.items()}
    assert "ZeroDivisionError" in reasons[3] and "signal 9" in reasons[7]
    assert "no sign of life" in reasons[11] and reasons[15] == "MemoryError"
    logs = {job.seed: failure.log for job, failure in execution.failures.items()}
    assert "about to divide" in logs[3] and "MemoryError" in logs[15]
    tried = executed(tmp_path)
    assert tried["seed3"] == 1 + execute.RETRIES and tried["seed0"] == 1
    behave()
    (tmp_path / "executed").unlink()
    assert not carry_out(jobs(20)).failures
    assert executed(tmp_path) == Counter(["seed3", "seed7", "seed11", "seed15"])
    assert not any(failure_of(job) for job in jobs(20))
    with capsys.disabled():
        print("\n16 of 20 runs finish, 4 are reported and run by the next call")


def test_a_run_that_dies_once_goes_on(behave: Callable[..., None], tmp_path: Path) -> None:
    behave(seed1="once")
    assert not carry_out(jobs(3)).failures
    assert executed(tmp_path) == Counter(seed0=1, seed1=2, seed2=1)


def test_one_of_several_at_once_dies_alone(behave: Callable[..., None], tmp_path: Path) -> None:
    behave(seed1="kill")
    execution = carry_out(jobs(4), devices=[Device(at_once=3)])
    assert [job.seed for job in execution.failures] == [1]
    assert [state_of(job) for job in jobs(4)] == ["done", "failed", "done", "done"]


def test_a_run_that_leaves_no_record_is_not_run_for_ever(
    behave: Callable[..., None], tmp_path: Path
) -> None:
    behave(seed0="nothing")
    (failure,) = carry_out(jobs(2)).failures.values()
    assert "ended without a record in" in failure.reason
    assert executed(tmp_path) == Counter(seed0=1, seed1=1)


def test_students_start_when_their_teachers_have_ended(
    behave: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    students = [Job(FITNET, "cifar10_aug", seed, "paper") for seed in range(4)]
    behave(seed1="raise", seed2="slow")
    teachers = [student.teacher for student in students if student.teacher is not None]
    leave_record(teachers[3])  # trained elsewhere: without weights
    started = {}

    class Watched(launch.Launched):
        def __init__(self, job: Job, *arguments: object):
            if job in students:
                teacher = teachers[job.seed]
                started[job.seed] = teacher.weights.is_file(), state_of(teacher)
            super().__init__(job, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(execute, "Launched", Watched)
    plan = with_teachers(students)
    carry_out(plan[::-1], devices=[Device(at_once=8)])
    # Where no weights are to come, train.py says what is missing.
    whole = (True, "done")
    assert started == {0: whole, 1: (False, "failed"), 2: whole, 3: (False, "done")}
    assert executed(tmp_path) == Counter(seed0=2, seed1=2 + 2 * execute.RETRIES, seed2=2, seed3=1)


def test_an_error_of_the_plan_itself_leaves_no_run_behind(
    behave: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    behave(seed1="hang")
    started = []

    class Watched(launch.Launched):
        def __init__(self, *arguments: object):
            super().__init__(*arguments)  # type: ignore[arg-type]
            started.append(self)

        def quiet_seconds(self) -> float:
            if self.job.seed == 1 and is_locked(self.job.working / "lock"):
                raise RuntimeError("a defect of ours")
            return 0.0

    monkeypatch.setattr(execute, "Launched", Watched)
    with pytest.raises(RuntimeError, match="a defect of ours"):
        carry_out(jobs(3))
    assert [one.poll() for one in started] == [0, -signal.SIGTERM]


def test_one_stopped_process_stops_the_others(behave: Callable[..., None], tmp_path: Path) -> None:
    behave(seed0="hang", seed1="stop")
    begin = time.monotonic()
    execution = carry_out(jobs(4), devices=[Device("0"), Device("1")])
    assert execution.stopped == 75 and time.monotonic() - begin < 20
    assert executed(tmp_path).total() == 2


def test_several_devices_share_the_work(tmp_path: Path) -> None:
    devices = [Device(str(number), at_once=2) for number in range(3)]
    assert not carry_out(jobs(12), devices=devices).failures
    assert executed(tmp_path) == Counter(f"seed{k}" for k in range(12))


@pytest.mark.parametrize(("devices", "expected"), [(1, None), (4, "workers=4")])
def test_runs_on_several_gpus_share_the_cores_that_decode(
    devices: int, expected: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On one GPU a run knows from `runs_at_once` how many decode beside it."""
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path))
    monkeypatch.setattr(execute, "cores", lambda: 32)
    started: list[Sequence[str]] = []

    def launched(job: Job, device: str, options: Sequence[str], environment: object) -> Any:
        started.append(options)
        return SimpleNamespace(job=job, device=device)

    monkeypatch.setattr(execute, "Launched", launched)
    rows = [Job("he2015_residual/table2/resnet18", "imagenet", seed, "paper") for seed in range(8)]
    places = [Device(str(number), at_once=2) for number in range(devices)]
    display: Any = SimpleNamespace(started=lambda job: None)
    execution = execute.Execution(rows, places, display)
    while any(execution.start_on(device) for device in places):
        pass
    assert len(started) == 2 * devices
    for options in started:
        assert "runs_at_once=2" in options
        assert [word for word in options if word.startswith("workers")] == (
            [expected] if expected else []
        )


def test_runs_share_a_gpu_as_far_as_its_memory_holds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = jobs(5)
    monkeypatch.setattr(execute, "gpu_bytes", lambda job: 20.0 if job.seed == 3 else 3.0)
    device = Device("0", at_once=8, memory=10.0)
    assert device.has_room(todo[:2], todo[2]) and not device.has_room(todo[:3], todo[4])
    assert device.has_room([], todo[3]), "what needs too much is tried alone"
    assert not device.has_room([todo[3]], todo[0])
    assert not carry_out(todo, devices=[device]).failures
    assert executed(tmp_path) == Counter(f"seed{k}" for k in range(5))


def test_a_run_without_gpu_memory_beside_others_waits_until_one_has_ended(
    behave: Callable[..., None], tmp_path: Path
) -> None:
    behave(seed0="slow", seed1="slow", seed2="crowded")
    device = Device("0", at_once=3)
    execution = carry_out(jobs(6), devices=[device])
    assert not execution.failures and device.at_once < 3
    assert not execution.tries[jobs(6)[2]], "it is not at fault"
    assert executed(tmp_path)["seed2"] == 2


def plan_of_eight(barrier: "multiprocessing.synchronize.Barrier") -> None:
    barrier.wait()
    launch.ENTRY = STAND_IN
    carry_out(jobs(12))


def test_eight_planners_on_one_table_execute_each_run_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(8)
    planners = [context.Process(target=plan_of_eight, args=(barrier,)) for _ in range(8)]
    for planner in planners:
        planner.start()
    for planner in planners:
        planner.join(60)
    assert [planner.exitcode for planner in planners] == [0] * 8
    assert executed(tmp_path) == Counter(f"seed{k}" for k in range(12))
    for job in jobs(12):
        assert json.loads((job.finished / "summary.json").read_text())["status"] == "finished"
    with capsys.disabled():
        print("\n12 runs, 8 planners: each run executed once, 12 records whole")


def test_a_run_that_another_process_has_begun_meanwhile_is_no_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (job,) = jobs(1)
    execution = Execution([job], [Device()], Display(make_plan([job])))
    job.working.mkdir(parents=True)
    with locked(job.working):
        launched = launch.Launched(job, None)
        launched.wait(60)
        for _ in range(execute.RETRIES + 1):
            execution.judge(launched, launched.poll() or 0)
        assert launched.poll() == BUSY and not execution.failures and failure_of(job) is None
        assert report(execution) == 0
        assert "under way in another process: 1" in capsys.readouterr().out


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_stops_the_plan(
    sent: signal.Signals, code: int, behave: Callable[..., None], tmp_path: Path
) -> None:
    behave(seed1="hang")
    threading.Timer(1.0, os.kill, (os.getpid(), sent)).start()
    execution = carry_out(jobs(3))
    assert execution.stopped == code and not execution.failures
    assert state_of(jobs(3)[1]) == "missing", "it is asked to stop as well"
    assert executed(tmp_path)["seed2"] == 0


def test_one_interrupt_lets_every_run_save(behave: Callable[..., None]) -> None:
    """The first run to save ends with 130, which must not reach the others as a second Ctrl-C."""
    behave(seed0="saves", seed1="saves", seed2="saves")
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    execution = carry_out(jobs(3), devices=[Device(at_once=3)])
    assert execution.stopped == 130 and not execution.failures
    assert all((job.working / "saved").exists() for job in jobs(3))


def test_a_stop_leaves_time_to_save_to_a_run_that_was_silent(
    behave: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "LAST_PATIENCE", 2.0)
    behave(seed1="saves")
    threading.Timer(4.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    carry_out(jobs(2)[1:])
    assert (jobs(2)[1].working / "saved").exists()


def test_a_run_whose_folder_is_deleted_ends_no_plan(behave: Callable[..., None]) -> None:
    behave(seed0="slow")
    threading.Timer(1.0, shutil.rmtree, (jobs(1)[0].working,)).start()
    assert not carry_out(jobs(2), devices=[Device(at_once=2)]).failures


def test_time_is_up(behave: Callable[..., None]) -> None:
    behave(seed0="hang")
    begin = time.monotonic()
    execution = carry_out(jobs(2), minutes=1 / 60)
    assert execution.stopped == 75 and 1 <= time.monotonic() - begin < 20, "a sixtieth of a minute"


def test_a_full_disk_pauses_the_plan(
    behave: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    behave(seed0="full")
    asked = 0

    def free_bytes(folder: Path) -> float:
        nonlocal asked
        asked += 1
        return 0.0 if asked < 10 else 1e12

    monkeypatch.setattr(execute, "free_bytes", free_bytes)
    monkeypatch.setattr(execute, "FULL_SECONDS", 0.05)
    assert not carry_out(jobs(2)).failures
    assert executed(tmp_path) == Counter(seed0=2, seed1=1), "seed1 waits, and does not fail"
    printed = capsys.readouterr().out
    assert "No space left" in printed and printed.index("pauses") < printed.index("continues")


def test_the_status_can_be_asked_for_from_another_shell(behave: Callable[..., None]) -> None:
    behave(seed1="hang")
    seen: list[str] = []

    def look() -> None:
        seen.extend(status.lines())
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Timer(1.5, look).start()
    with registered("a table", jobs(3)):
        carry_out(jobs(3))
    assert seen[0] == "a table" and "1 of 3 done, 1 running; about" in seen[-1]
    assert not under_way()


def test_a_stopped_run_is_named_with_where_it_stands(tmp_path: Path) -> None:
    run = "he2015_residual/table6/resnet20/digits/seed0"
    folder = tmp_path / "outputs" / "runs" / "smoke" / run
    folder.mkdir(parents=True)
    (folder / "checkpoint-00000040-3f2a.pt").touch()
    assert status.lines() == [f"stopped at 40/399  {run}"]
    assert status.lines(50) == ["stopped at 40/399  …/table6/resnet20/digits/seed0"]


def test_a_failed_run_is_named_with_its_reason(tmp_path: Path) -> None:
    (job,) = jobs(1)
    note_failure(job, Failure(1, "ZeroDivisionError: division by zero\nmore", "a log"))
    assert status.lines() == [f"failed  {job.run}: ZeroDivisionError: division by zero"]
    with locked(job.working):
        assert status.lines() == [f"running  {job.run}"]


def test_the_time_left_is_that_of_the_iterations_left_by_as_many_runs_as_there_are(
    tmp_path: Path,
) -> None:
    """Two of four runs under way, with 54,000 of 64,000 iterations left at half a second each."""
    plan = [Entry(job, "missing", 64_000, 64_000) for job in jobs(4)]
    leave_record(plan[0].job)
    with ExitStack() as stack:
        for entry in plan[1:3]:
            entry.job.working.mkdir(parents=True)
            stack.enter_context(locked(entry.job.working))
            metrics = entry.job.working / "metrics.csv"
            metrics.write_text("iteration,test_error,seconds\n10000,12.5,5000\n")
        one, two, total = progress_lines(plan)
    for line in (one, two):
        assert line.split() == ["10,000/64,000", "12.50", "%", *duration(27_000).split(), "left",
                                *line.split()[-1:]]  # fmt: skip
    assert total == f"1 of 4 done, 2 running; about {duration((2 * 27_000 + 64_000) / 2)} left"


@pytest.mark.parametrize("device", [None, "1"])
def test_a_run_gets_the_gpu_that_it_is_planned_on(
    device: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its number in nvidia-smi; and it asks for it, or it might train on the CPU unnoticed."""
    script = tmp_path / "look.py"
    script.write_text(
        "import os, sys\n"
        "print(*sys.argv[1:], sep='\\n')\n"
        "print(*(f'{name}={os.environ.get(name)}' for name in\n"
        "        ('CUDA_VISIBLE_DEVICES', 'CUDA_DEVICE_ORDER', 'OF_THE_PLAN')), sep='\\n')\n"
    )
    monkeypatch.setattr(launch, "ENTRY", (str(script),))
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    (job,) = jobs(1)
    launched = launch.Launched(job, device, ["threads=2"], {"OF_THE_PLAN": "1"})
    launched.wait(60)
    asked = ["device=cuda"] if device else []
    order = "PCI_BUS_ID" if device else None
    assert launched.log.read_text().splitlines() == [
        *job.arguments, *asked, "threads=2", f"CUDA_VISIBLE_DEVICES={device}",
        f"CUDA_DEVICE_ORDER={order}", "OF_THE_PLAN=1",
    ]  # fmt: skip


def test_a_run_is_killed_with_all_that_it_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import subprocess, sys, time\n"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid,\n"
        "      flush=True)\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr(launch, "ENTRY", (str(script),))
    launched = launch.Launched(jobs(1)[0], None)
    deadline = time.monotonic() + 30
    while not launched.tail() and time.monotonic() < deadline:
        time.sleep(0.01)
    started = Path("/proc") / launched.tail()[0] / "stat"
    launched.kill()
    launched.process.wait(10)
    while time.monotonic() < deadline and started.exists():
        if started.read_text().rpartition(")")[2].split()[0] == "Z":
            break  # only nobody has asked for its exit code yet
        time.sleep(0.01)
    assert time.monotonic() < deadline and "no sign of life" in launched.reason(-signal.SIGKILL)


def test_a_run_on_images_of_ones_own_is_shown_too(tmp_path: Path) -> None:
    run = "short/he2015_residual/table6/resnet20+data.source=pets/pets/seed0"
    folder = tmp_path / "outputs" / "runs" / run
    folder.mkdir(parents=True)
    with locked(folder):  # before it has saved or evaluated anything
        assert status.lines() == [f"running  {run}"]
    (folder / "checkpoint-00000040-3f2a.pt").touch()
    assert status.lines() == [f"stopped at 40  {run}"]
    with locked(folder):
        assert status.lines() == [f"running, 40  {run}"]
    (folder / "summary.json").write_text('{"status": "finished"}')
    assert status.lines()[0].startswith("Nothing is being trained")


def test_a_plan_that_was_killed_is_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "sweeps"
    folder.mkdir(parents=True)
    content = {"title": "dead", "preset": "paper", "runs": [job.run for job in jobs(2)]}
    (folder / "host-1.json").write_text(json.dumps(content))
    assert status.lines()[0].startswith("Nothing is being trained")
    assert not list(folder.iterdir())


ARGUMENTS = ["--preset", "paper", "--yes", "--rows", "resnet110"]


def test_reproduce_table_reports_what_failed_and_why(
    behave: Callable[..., None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduce, "show", lambda *_: None)  # these records have no numbers
    monkeypatch.setattr(reproduce.compile, "records_of", lambda *_: [])
    behave(seed2="raise", seed4="stop")
    assert reproduce.main(ARGUMENTS) == 75, "stopped, which matters more to a scheduler"
    printed = capsys.readouterr().err
    assert "1 of 5 runs failed" in printed and "repeat the command to continue" in printed
    behave(seed2="raise")
    assert reproduce.main(ARGUMENTS) == 1
    printed = capsys.readouterr().err
    assert "resnet110/cifar10_aug/seed2: exit code 1, ZeroDivisionError" in printed
    assert "about to divide" in printed and "1 of 2 runs failed" in printed
    behave(seed2="stop")
    assert reproduce.main(ARGUMENTS) == 75
    assert "failed" not in capsys.readouterr().err
    behave()
    assert reproduce.main(ARGUMENTS) == 0
