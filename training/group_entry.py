"""Train a list of runs side by side.

python -m training.group_entry --at-once auto --outcomes FILE < jobs.json

The jobs are lists of the overrides that train.py takes. They start in order, as many at once as
asked for and as memory allows. What becomes of each is written to FILE, a line of JSON with its
number, exit code and, if it failed, the reason. Whoever started this starts the jobs that have no
outcome again: they go on from their checkpoints.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from training.config import read_settings
from training.entry import BAD_CONFIG, CONF, explain
from training.group import Group, Job
from training.naming import run_name
from training.settings import ConfigError
from training.signals import Signals

MOST_AT_ONCE = 8  # by then small networks fill a large GPU


def read_jobs(lists: Sequence[Sequence[str]], report: Callable[[int, int, str], None]) -> list[Job]:
    """Compose every job's configuration; a bad one has its outcome at once."""
    jobs = []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for number, overrides in enumerate(lists):
            try:
                config: Any = compose("config", overrides=list(overrides))
                settings = read_settings(config)
            except (HydraException, OmegaConfBaseException, ConfigError) as error:
                message = str(error) if isinstance(error, ConfigError) else explain(error)
                print(message, file=sys.stderr)
                report(number, BAD_CONFIG, message)
                continue
            experiment = next(x for x in overrides if x.startswith("experiment=")).partition("=")[2]
            name = run_name(experiment, list(overrides), settings)
            jobs.append(Job(number, experiment, name, settings))
    return jobs


def add_outcome(outcomes: Path, number: int, code: int, reason: str) -> None:
    """Add the outcome of a job to the file."""
    with outcomes.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"job": number, "code": code, "reason": reason}) + "\n")


def main() -> int:
    """Exit code: 0 every job has an outcome, 70 the GPU was lost, 75 or 130 stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-once", default="auto", help="runs at once: a number, or `auto`")
    parser.add_argument("--outcomes", type=Path, required=True)
    options = parser.parse_args()
    at_once = MOST_AT_ONCE if options.at_once == "auto" else int(options.at_once)
    report = partial(add_outcome, options.outcomes)
    with Signals() as signals:
        jobs = read_jobs(json.load(sys.stdin), report)
        return Group(jobs, at_once, signals, report).run()


if __name__ == "__main__":
    sys.exit(main())
