"""Train the runs that a file lists, one name per line; those that have ended are skipped.

make train [RUNS=experiments/queue.txt] [MINUTES=9] [JOBS=auto|4] [PLAN=1] [YES=1]

After MINUTES, all runs save and stop; copy OUTPUT_DIR to another machine to continue them there.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.execution import command
from experiments.plan import overview
from experiments.plan.plan import listed_jobs, make_plan, with_teachers
from experiments.tables.terminal import print_table
from records.command import argument_parser, guarded


@guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 some runs failed, 2 nothing could be planned, 75 or 130 stopped."""
    parser = argument_parser(__doc__)
    parser.add_argument("--runs", type=Path, required=True, help="file of run names, one per line")
    command.add_options(parser)
    options = parser.parse_args(arguments)
    command.check(options)
    jobs = with_teachers(listed_jobs(options.runs, command.chosen_preset(options)))
    plan = make_plan(jobs, timing=True)
    command.show_plan(plan, options)
    if (code := command.why_not(plan, options)) is not None:
        return code
    code = command.report(command.carry_out(str(options.runs), plan, options))
    print()
    print_table(overview.results(jobs))
    return code


if __name__ == "__main__":
    sys.exit(main())
