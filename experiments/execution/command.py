"""What the commands that train share: options, the plan, its execution, and failures."""

import argparse
import sys
from collections.abc import Sequence

from experiments.execution.display import Display
from experiments.execution.execute import Device, Execution
from experiments.execution.mps import side_by_side
from experiments.execution.sweeps import registered
from experiments.papers.conf import PlanError
from experiments.plan import overview
from experiments.plan.estimate import AT_ONCE
from experiments.plan.machine import device_name, gpus, torch_fault
from experiments.plan.plan import Entry
from experiments.plan.states import ENDED, state_of
from experiments.tables.terminal import print_table, say
from records.command import one_of
from records.exits import BAD_CONFIG
from records.names import KEPT
from records.processor import cores
from records.schema import PRESETS
from records.words import duration

ASK_ABOVE_SECONDS = 3600
LONG = 20  # rows that fit on a screen together with the summary above


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that trains."""
    parser.add_argument("--preset", default="auto", type=one_of("PRESET", ("auto", *PRESETS)))
    parser.add_argument("--jobs", default="auto", help="runs at once: a number, or `auto`")
    parser.add_argument("--minutes", default="", help="save and stop after this many")
    parser.add_argument("--plan", action="store_true", help="print the plan and stop")
    parser.add_argument("--yes", action="store_true", help="start even if it takes over an hour")


def check(options: argparse.Namespace) -> None:
    """Raise a PlanError for invalid numbers, and for GPUs that torch cannot use."""
    jobs, minutes = options.jobs, options.minutes
    if jobs != "auto" and not (jobs.isdecimal() and int(jobs) > 0):
        raise PlanError(f"JOBS={jobs} is neither `auto` nor a positive number.")
    if minutes and not minutes.replace(".", "", 1).isdecimal():
        raise PlanError(f"MINUTES={minutes} is not a number of minutes.")
    if gpus() and (fault := torch_fault()):
        raise PlanError(
            f"{device_name()}: {fault}\n`make doctor` says more; CUDA_VISIBLE_DEVICES=-1 trains "
            "without the GPU."
        )


def chosen_preset(options: argparse.Namespace) -> str:
    """The preset asked for; `auto` is the full recipe if there is a GPU, else a small version."""
    return options.preset if options.preset != "auto" else ("paper" if gpus() else "smoke")


def show_plan(plan: Sequence[Entry], options: argparse.Namespace) -> None:
    """Print the plan."""
    preset = chosen_preset(options)
    summary = f"Plan (preset {preset}): {overview.summary(plan)}"
    say(summary)
    if preset not in KEPT:
        why = ", since no CUDA GPU was found" if options.preset == "auto" else ""
        say(
            f"These are small versions for a first try{why}. PRESET=tenth trains on a tenth of the "
            "schedule, PRESET=paper on all of it."
        )
    print()
    table = overview.table(plan)
    print_table(table)
    if len(table) > LONG:  # the summary has scrolled off the screen
        say("\n" + summary.splitlines()[0])
    if warnings := overview.failures(plan) + overview.in_no_table(plan):
        print()
        say("\n".join(warnings))
    sys.stdout.flush()


def why_not(plan: Sequence[Entry], options: argparse.Namespace) -> int | None:
    """The exit code if a plan is not to be carried out, else None: either only the plan was asked
    for, or it takes so long that it must be confirmed, which is printed."""
    if options.plan:
        return 0
    total = sum(entry.seconds for entry in plan if entry.open)
    if total <= ASK_ABOVE_SECONDS or options.yes or options.minutes:
        return None
    some = "; ROWS=... trains only some rows" if "rows" in options else ""
    print(
        f"\nThis takes about {duration(total)} here. Add YES=1 to start it, or "
        f"MINUTES=... to stop after that time{some}.",
        file=sys.stderr,
    )
    return BAD_CONFIG


def carry_out(title: str, plan: Sequence[Entry], options: argparse.Namespace) -> Execution:
    """Train the open runs of a plan."""
    todo = [entry.job for entry in plan if entry.open]
    places = devices(options.jobs)
    several = any(place.name and place.at_once > 1 for place in places) and len(todo) > 1
    with (
        registered(title, [entry.job for entry in plan]),
        side_by_side(wanted=several) as environment,
    ):
        minutes = float(options.minutes) if options.minutes else None
        display = Display(plan)
        execution = Execution(todo, places, display, minutes=minutes, environment=environment)
        execution.run()
    return execution


def devices(at_once: str) -> list[Device]:
    """The GPUs of this machine, or else its CPU.

    Args:
        at_once: most runs on a GPU at a time, or `auto`: as many as its memory holds, up to
            `AT_ONCE`. On a CPU, which one run keeps busy, `auto` is one; several share its cores.
    """
    if not gpus():
        count = 1 if at_once == "auto" else int(at_once)
        threads = [f"threads={max(1, cores() // count)}"] if count > 1 else []
        return [Device(at_once=count, options=threads)]
    if at_once != "auto":
        return [Device(name, int(at_once)) for name in gpus()]
    return [Device(name, AT_ONCE if gpu.memory else 1, gpu.memory) for name, gpu in gpus().items()]


def report(execution: Execution) -> int:
    """Print what did not finish and why; return the exit code. Runs under way in another process
    are no failure."""
    # Another process may have finished what failed here.
    failures = {job: why for job, why in execution.failures.items() if state_of(job) not in ENDED}
    for job, failure in failures.items():
        log = "".join(f"\n    {line}" for line in failure.log.splitlines())
        print(f"\n{job.run}: exit code {failure.code}, {failure.reason}{log}", file=sys.stderr)
    if failures:
        print(
            f"\n{len(failures)} of {len(execution.jobs)} runs failed (above). "
            "Repeat the command to train what is still missing"
            + ("; `make doctor` checks the GPU." if gpus() else "."),
            file=sys.stderr,
        )
    elsewhere = [job for job in execution.jobs if state_of(job) == "running"]
    if elsewhere:
        print(f"Runs under way in another process: {len(elsewhere)} (see `make status`).")
    if execution.stopped:
        print("Stopped; repeat the command to continue from the last checkpoints.", file=sys.stderr)
    return execution.stopped or int(bool(failures))
