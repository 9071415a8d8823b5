"""Reproduce a table: print it as measured so far, plan, run what is missing, compile, print.

make reproduce-table [TABLE=...] [PRESET=auto|paper|smoke] [SEEDS=paper|5] [ROWS=...]
                     [PLAN=1] [YES=1]
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from experiments import compile, published, readme, tables
from experiments.plan import Job, PlanError, describe, duration, make_plan, table_config
from experiments.records import RecordError

ASK_ABOVE_SECONDS = 3600
BAD_CONFIG, BAD_DATA, DIVERGED = 2, 3, 4
# Exit codes of a plan that was asked to stop; a run ends with the same ones.
STOPPED = {signal.SIGTERM: 75, signal.SIGUSR1: 75, signal.SIGINT: 130}
REASONS = {
    BAD_CONFIG: "refused (see above)",
    BAD_DATA: "its data is missing or damaged (see above)",
    75: "stopped, and saved",
    130: "interrupted, and saved",
}


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
    if options.table in published.titles():
        frame = tables.compile_table(options.table, compile.records_of("paper"))
        print(f"{published.titles()[options.table]}, as measured so far\n")
        print(tables.to_markdown(frame), end="\n\n")
    print(f"Plan (preset {preset}):\n{describe(jobs)}", flush=True)
    if preset != "paper":
        why = " (no CUDA GPU was found)" if options.preset == "auto" else ""
        print(f"No full recipe{why}: this checks the plumbing. PRESET=paper trains in full.")
    todo = [job for job in jobs if job.open]
    if options.plan:
        return 0
    total = sum(job.seconds for job in todo)
    if total > ASK_ABOVE_SECONDS and not options.yes:
        print(
            f"\nThis takes about {duration(total)} here. Add YES=1 to start, "
            "or ROWS=... for a part.",
            file=sys.stderr,
        )
        return BAD_CONFIG
    failures, stopped = run_all(todo)
    show(options.table, preset)
    if failures:
        print("\nNot finished:", file=sys.stderr)
        for run, code in failures.items():
            print(f"  {run}: {REASONS.get(code, f'exit code {code}')}", file=sys.stderr)
        print("The same command does what is still missing.", file=sys.stderr)
    return stopped or int(bool(failures))


def run_all(jobs: Sequence[Job]) -> tuple[dict[str, int], int]:
    """Run each job in a process of its own; a failure does not stop the others, a signal does.

    Returns:
        The exit code of every run that did not finish (a diverged run has a record, and is none),
        and 75 or 130 if a signal asked to stop, else 0.
    """
    failures: dict[str, int] = {}
    for number, job in enumerate(jobs, 1):
        print(f"\n[{number}/{len(jobs)}] {job.run}", flush=True)
        code, stop = _run(job)
        if code not in (0, DIVERGED):
            failures[job.run] = code
        if stop:
            return failures, stop
    return failures, 0


def show(table: str, preset: str) -> None:
    """Compile the table and its figures, and print where they are."""
    figures = table_config(table)["table"]["figures"]
    print()
    if preset != "paper" or table in published.titles():
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
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if command is None or hidden:
        return False
    result = subprocess.run([command, "-L"], check=False, capture_output=True, text=True)
    return result.returncode == 0 and "GPU" in result.stdout


def _run(job: Job) -> tuple[int, int]:
    """Exit code of a run, and the code for a signal that came meanwhile, else 0."""
    command = [
        sys.executable,
        "train.py",
        f"experiment={job.experiment}",
        f"seed={job.seed}",
        f"preset={job.preset}",
        *job.overrides,
    ]
    if job.preset != "smoke":
        command.append(f"data={job.dataset}")
    process = subprocess.Popen(command, cwd=published.ROOT)
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
