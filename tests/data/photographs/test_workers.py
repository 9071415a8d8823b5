"""Workers end with the process that uses them, however it ends; why they were lost is said."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image

from data.photographs.workers import why_lost
from records.files import ROOT
from tests.conftest import save_tree

# Trains on a tree with two workers, tells their processes, and ends in one way or another.
SCRIPT = """
import multiprocessing, os, signal, sys, time
from pathlib import Path
import torch
from data.photographs import photographs
from data.photographs.photographs import training_view
from data.photographs.stream import Stream
from data.photographs.workers import why_lost

folder = Path(sys.argv[1])
for ending in sys.argv[2:]:  # each in a process of its own, which has imported torch already
    if os.fork() == 0:
        break
else:
    while True:
        try:
            os.wait()
        except ChildProcessError:
            os._exit(0)
errors = os.open(folder / f"{ending}.txt", os.O_WRONLY | os.O_CREAT)
os.dup2(errors, 2)
stream = Stream(
    photographs.read("made", folder).train, training_view("scale", 224), size=224, kind="none",
    mean=torch.zeros(3), scale=torch.ones(()), batch=4, wrap=True, seed=0, workers=2,
    damaged="stop",
)

def run():
    stream.begin(0, 1000)
    for iteration in range(1000):
        stream.fetch(4)
        if iteration == 3:
            workers = [child.pid for child in multiprocessing.active_children()]
            (folder / ending).write_text(" ".join(map(str, [os.getpid(), *workers])))
            if ending == "error":
                raise ZeroDivisionError("unforeseen")
            if ending == "lost":
                os.kill(workers[0], signal.SIGKILL)
            if ending.startswith("SIG"):
                os.kill(os.getpid(), signal.Signals[ending])

try:
    run()
except RuntimeError as error:
    sys.exit(f"said: {why_lost(error)}")
"""
ENDINGS = ("error", "lost", "SIGKILL", "SIGTERM", "SIGINT", "SIGSEGV")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_tree(
        tmp_path / "made",
        lambda label, number: Image.new("RGB", (300, 260), (60 * number, 100 * label, 7)),
        4,
    )
    return tmp_path


def run_script(folder: Path, *endings: str, before: Sequence[str] = ()) -> int:
    command = [*before, sys.executable, "-c", SCRIPT, str(folder), *endings]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, check=False, cwd=ROOT, env=environment, timeout=120)
    return ended.returncode


def lives(pid: int) -> bool:
    """Whether a process is there; one that nobody has asked for its exit code is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_no_worker_outlives_its_process(folder: Path) -> None:
    assert run_script(folder, *ENDINGS) == 0
    deadline = time.monotonic() + 10
    for ending in ENDINGS:
        processes = [int(pid) for pid in (folder / ending).read_text().split()]
        assert len(processes) == 3, ending
        while any(map(lives, processes)):
            assert time.monotonic() < deadline, f"{ending}: they go on"
            time.sleep(0.05)
    said = {ending: (folder / f"{ending}.txt").read_text() for ending in ("error", "lost")}
    assert said["error"].splitlines()[-1] == "ZeroDivisionError: unforeseen"
    assert "said: The decoding workers failed" in said["lost"]
    assert "--shm-size" in said["lost"] and "workers=0" in said["lost"]


@pytest.mark.slow
def test_little_shared_memory_is_named_with_its_remedy(folder: Path) -> None:
    mount = 'mount -t tmpfs -o size=64k none /dev/shm || exit 99; exec "$@"'
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    if shutil.which("unshare") is None or run_script(folder, "shm", before=unshare) != 0:
        pytest.skip("no file system can be mounted here")
    errors = (folder / "shm.txt").read_text()
    assert errors.startswith("said: ") and "--shm-size" in errors and "workers=0" in errors
    assert len(errors.splitlines()) <= 3


def test_other_errors_are_not_taken_for_lost_workers() -> None:
    assert why_lost(RuntimeError("shapes differ")) is None
    told = (
        "Caught ValueError in DataLoader worker process 0.\nOriginal Traceback ...\nValueError: x"
    )
    assert why_lost(RuntimeError(told)) is None
    assert why_lost(torch.OutOfMemoryError("CUDA out of memory.")) is None
    killed = why_lost(RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. Try"))
    assert killed is not None and "pid 7" in killed and killed.count("\n") == 1
