"""Reproduce a table: print it as measured so far, plan, run what is missing, compile, print.

make reproduce-table [TABLE=...] [PRESET=auto|paper|smoke] [SEEDS=paper|5] [ROWS=...]
                     [JOBS=auto|4] [PLAN=1] [YES=1]
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from experiments import compile, published, readme, tables
from experiments.execute import run_each, run_together
from experiments.plan import PlanError, describe, duration, make_plan, table_config
from experiments.records import RecordError

ASK_ABOVE_SECONDS = 3600
BAD_CONFIG, BAD_DATA = 2, 3
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
    check_jobs(options.jobs, gpu)
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
    if gpu and options.jobs != "1":
        failures, stopped = run_together(todo, options.jobs)
    else:
        failures, stopped = run_each(todo)
    show(options.table, preset)
    if failures:
        print("\nNot finished:", file=sys.stderr)
        for run, code in failures.items():
            print(f"  {run}: {REASONS.get(code, f'exit code {code}')}", file=sys.stderr)
        print("The same command does what is still missing.", file=sys.stderr)
    return stopped or int(bool(failures))


def check_jobs(jobs: str, gpu: bool) -> None:
    """Refuse a number of runs at once that cannot be.

    Raises:
        PlanError: it is none, or there is no GPU to share.
    """
    if jobs != "auto" and not (jobs.isdecimal() and int(jobs) > 0):
        raise PlanError(f"JOBS={jobs} is neither `auto` nor a number of runs.")
    if not gpu and jobs not in ("auto", "1"):
        raise PlanError(f"JOBS={jobs}: without a GPU a run uses all cores; leave JOBS out.")


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


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", default="he2015_residual/table6")
    parser.add_argument("--preset", default="auto", choices=("auto", "paper", "short", "smoke"))
    parser.add_argument("--seeds", default="paper", help="runs a row: a number, or `paper`")
    parser.add_argument("--rows", default="", help="only these rows, comma-separated")
    parser.add_argument("--jobs", default="auto", help="runs at once on a GPU: a number, or `auto`")
    parser.add_argument("--plan", action="store_true", help="stop after the plan")
    parser.add_argument("--yes", action="store_true", help="start even what takes over an hour")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
