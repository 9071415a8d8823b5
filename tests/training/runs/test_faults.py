"""Single system calls of a run that fail, or at which it is killed: it says so in a line, and the
same command goes on to the same bits. Needs strace, which does that to a process."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.runs.test_resume import (
    CONTEXT,
    EXPERIMENT,
    RUN,
    child,
    finished,
    keep_last_checkpoint,
    leftovers,
    outcome,
    settings_at,
    undisturbed,
)
from training.settings.settings import Settings

__all__ = ["finished", "settings_at", "undisturbed"]  # fixtures
FAULTS = int(os.environ.get("FAULTS", "300"))
CALLS = ("openat", "write", "fsync", "rename", "unlink", "ftruncate", "flock", "mkdir", "close",
         "newfstatat", "fstat", "lseek", "read", "getdents64")  # fmt: skip
KINDS = {"full": "error=ENOSPC", "broken": "error=EIO", "killed": "signal=SIGKILL"}
SECONDS = 60  # for a run of two
OURS = {"out", "err", "ready", "go"}  # files of this test


def work(settings: Settings) -> None:
    """The body of a run: as train.py would do it, once it is looked at."""
    from training.runs.entry import guard
    from training.runs.run import run

    folder = Path(settings.output_dir).parent
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), number)
    keep_last_checkpoint(folder / "last.pt")
    os.setsid()
    (folder / "ready").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    guard(lambda: run(settings, EXPERIMENT, RUN) and None, resumable=True)


def traced(settings: Settings, *options: str) -> tuple[int | None, list[int]]:
    """Exit code of a run under strace, and its processes that are still there ten seconds later."""
    folder = Path(settings.output_dir).parent
    folder.mkdir(exist_ok=True)
    process = CONTEXT.Process(target=work, args=(settings,))
    process.start()
    assert process.pid
    wait_until((folder / "ready").exists)  # or what it imports would fail
    tracer = subprocess.Popen(["strace", "-f", "-qq", *options, "-p", str(process.pid)])
    wait_until(lambda: traces(process.pid or 0))
    (folder / "go").touch()
    process.join(SECONDS)
    left = session(process.pid)
    deadline = time.monotonic() + 10
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = session(process.pid)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    process.join()
    tracer.wait(20)
    return process.exitcode, left


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < deadline, "the process does not begin, or strace cannot attach"
        time.sleep(0.01)


def traces(pid: int) -> bool:
    found = re.search(r"^TracerPid:\t(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return found is not None and found[1] != "0"


def session(leader: int) -> list[int]:
    """The processes of a session, but for those that only wait to be asked for their exit code."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = place.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(place.parent.name))
    return found


def calls_of(settings: Settings) -> dict[str, int]:
    """How often a run makes each call."""
    folder = Path(settings.output_dir).parent
    code, _ = traced(settings, "-e", f"trace={','.join(CALLS)}", "-o", f"{folder}.trace")
    assert code == 0
    text = Path(f"{folder}.trace").read_text(errors="replace")
    return Counter(found[1] for found in re.finditer(r"^\d+ +(\w+)\(", text, re.MULTILINE))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_no_fault_of_a_call_does_harm(
    undisturbed: dict[str, Any],
    settings_at: Callable[[Path], Settings],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    counts, draw = calls_of(settings_at(tmp_path / "counted")), random.Random(1)  # noqa: S311
    bad, ended = [], Counter[str]()
    for number in range(FAULTS):
        call, kind = draw.choice([call for call in CALLS if counts[call]]), draw.choice([*KINDS])
        when, folder = draw.randint(1, counts[call]), tmp_path / str(number)
        settings = settings_at(folder)
        inject = f"inject={call}:{KINDS[kind]}:when={when}"
        code, left = traced(settings, "-e", f"trace={call}", "-e", inject, "-o", "/dev/null")
        said = (folder / "err").read_text() if (folder / "err").exists() else ""
        ended[f"{kind}: exit code {code}"] += 1
        faults = [f"{len(left)} processes are left"] if left else []
        if "Traceback" in said or len(said.splitlines()) > 4:
            faults.append(said)
        if child(settings) != 0:
            faults.append("the same command fails")
        elif outcome(settings) != undisturbed:
            faults.append("other bits")
        elif found := leftovers(folder) - OURS:
            faults.append(f"left: {sorted(found)}")
        if faults:
            bad.append(f"{call} {kind} {when}: {'; '.join(faults)}")
        shutil.rmtree(folder)
    with capsys.disabled():
        print(f"\n{FAULTS} faults in {', '.join(f'{v} {k}' for k, v in sorted(counts.items()))}")
        print(*(f"{count} x {how}" for how, count in sorted(ended.items())), sep="\n")
        print(f"{len(bad)} bad", *bad, sep="\n")
    assert not bad
