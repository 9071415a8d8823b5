"""Reproduce a table: print it as measured so far, plan, run what is missing, compile, print.

make reproduce-table [TABLE=...] [PRESET=auto|paper|smoke] [SEEDS=paper|5] [ROWS=...]
                     [PLAN=1] [YES=1]
"""

import argparse
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from experiments import compile, published, readme, tables
from experiments.plan import Job, PlanError, describe, make_plan, minutes, table_config
from experiments.records import RecordError

ASK_ABOVE_SECONDS = 3600
STOPPED = (75, 130)  # preempted, interrupted: the rest of the plan stops too
BAD_CONFIG = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 some runs failed, 2 nothing could be planned, 75 or 130 stopped."""
    options = _options(arguments)
    try:
        return reproduce(options)
    except (PlanError, RecordError, published.PublishedError) as error:
        print(error, file=sys.stderr)
        return BAD_CONFIG


def reproduce(options: argparse.Namespace) -> int:
    """Do what the options ask for; see the module."""
    gpu = has_gpu()
    preset = options.preset if options.preset != "auto" else ("paper" if gpu else "smoke")
    jobs = make_plan(options.table, preset=preset, seeds=options.seeds, rows=options.rows, gpu=gpu)
    if options.table in published.titles() and options.table not in compile.curves.FIGURES:
        frame = tables.compile_table(options.table, compile.records_of("paper"))
        print(f"{published.titles()[options.table]}, as measured so far\n")
        print(tables.to_markdown(frame), end="\n\n")
    print(f"Plan (preset {preset}):\n{describe(jobs)}", flush=True)
    if preset == "smoke":
        print("No full recipe here: this checks the plumbing. PRESET=paper trains in full.")
    todo = [job for job in jobs if job.open]
    if options.plan:
        return 0
    total = sum(job.seconds for job in todo)
    if total > ASK_ABOVE_SECONDS and not options.yes:
        print(
            f"\nThis takes about {minutes(total)} here. Add YES=1 to start, "
            "or ROWS=... for a part.",
            file=sys.stderr,
        )
        return BAD_CONFIG
    failures = run_all(todo)
    stopped = [code for code in failures.values() if code in STOPPED]
    show(options.table, preset)
    if failures:
        print("\nNot finished:", file=sys.stderr)
        for run, code in failures.items():
            print(f"  {run}: exit code {code}", file=sys.stderr)
        print("The same command goes on where it stopped.", file=sys.stderr)
    return stopped[0] if stopped else int(bool(failures))


def run_all(jobs: Sequence[Job]) -> dict[str, int]:
    """Run each job in a process of its own; a failure does not stop the others.

    Returns:
        The exit code of every run that did not finish. A diverged run has a record, and is none.
    """
    failures = {}
    for number, job in enumerate(jobs, 1):
        print(f"\n[{number}/{len(jobs)}] {job.run}", flush=True)
        code = _run(job)
        if code not in (0, 4):
            failures[job.run] = code
        if code in STOPPED:
            break
    return failures


def show(table: str, preset: str) -> None:
    """Compile the table and its figures, and print where they are."""
    figures = table_config(table)["table"]["figures"]
    print()
    if table not in compile.curves.FIGURES:
        frame, paths = compile.write_table(table, preset)
        print(tables.to_markdown(frame), end="\n\n")
        print(*paths, sep="\n")
        if preset == "paper":
            readme.update()
    for figure in figures:
        print(*compile.write_figure(figure, preset), sep="\n")


def has_gpu() -> bool:
    """Whether a CUDA GPU is at hand (asked of the driver, because this module needs no torch)."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return False
    result = subprocess.run([command, "-L"], check=False, capture_output=True, text=True)
    return result.returncode == 0 and "GPU" in result.stdout


def _run(job: Job) -> int:
    command = [
        sys.executable,
        "train.py",
        f"experiment={job.experiment}",
        f"seed={job.seed}",
        f"preset={job.preset}",
    ]
    if job.preset != "smoke":
        command.append(f"data={job.dataset}")
    process = subprocess.Popen(command, cwd=published.ROOT)

    def pass_on(number: int, frame: FrameType | None) -> None:
        # Ctrl-C reaches the run by itself. It saves, and ends with a code.
        if number != signal.SIGINT:
            process.send_signal(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    previous = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        return process.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", default="he2015_residual/table6")
    parser.add_argument("--preset", default="auto", choices=("auto", "paper", "short", "smoke"))
    parser.add_argument("--seeds", default="paper", help="runs a row: a number, or `paper`")
    parser.add_argument("--rows", default="", help="only these rows, comma-separated")
    parser.add_argument("--plan", action="store_true", help="stop after the plan")
    parser.add_argument("--yes", action="store_true", help="start even what takes over an hour")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
