"""Carry out a plan: runs one after another, or side by side on a GPU; a failure stops no other."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import IO

from experiments import published
from experiments.plan import Job

DIVERGED = 4
# Exit codes of a plan that was asked to stop; a run ends with the same ones.
STOPPED = {signal.SIGTERM: 75, signal.SIGUSR1: 75, signal.SIGINT: 130}
# Processes of runs side by side that may die before the runs go on one by one.
DEATHS = 2


def run_each(jobs: Sequence[Job]) -> tuple[dict[str, int], int]:
    """Run each job in a process of its own; a signal stops the plan.

    Returns:
        The exit code of every run that did not finish (a diverged run has a record, and is none),
        and 75 or 130 if a signal asked to stop, else 0.
    """
    failures: dict[str, int] = {}
    for number, job in enumerate(jobs, 1):
        print(f"\n[{number}/{len(jobs)}] {job.run}", flush=True)
        code, stop = _wait(["train.py", *arguments(job)])
        if code not in (0, DIVERGED):
            failures[job.run] = code
        if stop:
            return failures, stop
    return failures, 0


def run_together(jobs: Sequence[Job], at_once: str) -> tuple[dict[str, int], int]:
    """Run jobs side by side in one process, which is started again where it dies.

    After `DEATHS` of them the runs go on one by one, so that the one to blame is found.

    Args:
        at_once: how many runs at the same time, or `auto`.

    Returns:
        As `run_each`.
    """
    left, failures, deaths = list(jobs), dict[str, int](), 0
    while left:
        print(f"\n{len(left)} runs, side by side where they fit", flush=True)
        alone = deaths >= DEATHS
        outcomes, code, stop = _run_group(left, "1" if alone else at_once)
        for number, outcome in outcomes.items():
            if outcome not in (0, DIVERGED):
                failures[left[number].run] = outcome
        left = [job for number, job in enumerate(left) if number not in outcomes]
        if stop:
            return failures, stop
        if left:
            deaths += 1
            print(f"The process ended with code {code}; {len(left)} runs go on.", file=sys.stderr)
        if left and alone:
            failures[left.pop(0).run] = code
    return failures, 0


def arguments(job: Job) -> list[str]:
    """What train.py is told."""
    told = [f"experiment={job.experiment}", f"seed={job.seed}", f"preset={job.preset}"]
    data = [] if job.preset == "smoke" else [f"data={job.dataset}"]
    return [*told, *job.overrides, *data]


def _run_group(jobs: Sequence[Job], at_once: str) -> tuple[dict[int, int], int, int]:
    """Outcomes by number, the process's exit code, and the code for a signal, else 0."""
    with tempfile.TemporaryDirectory() as folder:
        outcomes, listed = Path(folder) / "outcomes", Path(folder) / "jobs.json"
        listed.write_text(json.dumps([arguments(job) for job in jobs]), encoding="utf-8")
        command = ["-m", "training.group_entry", "--at-once", at_once, "--outcomes", str(outcomes)]
        with listed.open(encoding="utf-8") as file:
            code, stop = _wait(command, file)
        lines = outcomes.read_text(encoding="utf-8").splitlines() if outcomes.exists() else []
    read = [json.loads(line) for line in lines]
    return {entry["job"]: entry["code"] for entry in read}, code, stop


def _wait(command: Sequence[str], given: IO[str] | None = None) -> tuple[int, int]:
    """Exit code of a Python process, and the code for a signal that came meanwhile, else 0."""
    process = subprocess.Popen([sys.executable, *command], cwd=published.ROOT, stdin=given)
    stop = 0

    def pass_on(number: int, frame: FrameType | None) -> None:
        nonlocal stop
        stop = STOPPED[signal.Signals(number)]
        # Ctrl-C reaches the run by itself. It saves, and ends with a code.
        if number != signal.SIGINT:
            process.send_signal(number)

    previous = {number: signal.signal(number, pass_on) for number in STOPPED}
    try:
        code = process.wait()
        return code, stop or (code if code in STOPPED.values() else 0)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
