"""Reproduce a table: print it as measured so far, plan, train what is missing, and compile it.

make reproduce-table [TABLE=...] [PRESET=auto|paper|tenth|smoke] [SEEDS=paper|5] [ROWS=...]
                     [MINUTES=9] [JOBS=auto|4] [PLAN=1] [YES=1]
"""

import sys
from collections.abc import Collection, Sequence

from experiments import compile
from experiments.execution import command
from experiments.figures.drawing import FIGURES
from experiments.papers import published
from experiments.papers.conf import table_config, table_rows
from experiments.plan.plan import make_plan, table_jobs, with_teachers
from experiments.tables.terminal import print_table, say
from experiments.verdicts.ask_eval import ask_eval
from experiments.verdicts.records import RunRecord
from records.command import argument_parser, guarded
from records.names import FULL, KEPT


@guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 some runs failed, 2 nothing could be planned, 75 or 130 stopped."""
    parser = argument_parser(__doc__)
    parser.add_argument("--table", default="he2015_residual/table6")
    parser.add_argument("--seeds", default="paper", help="runs per row: a number, or `paper`")
    parser.add_argument("--rows", default="", help="only these rows, comma-separated")
    command.add_options(parser)
    options = parser.parse_args(arguments)
    command.check(options)
    preset = command.chosen_preset(options)
    asked = table_jobs(options.table, preset=preset, seeds=options.seeds, rows=options.rows)
    plan = make_plan(with_teachers(asked), timing=True)
    if options.table in published.tables():
        shown = preset if preset in KEPT else FULL
        records = compile.records_of(shown)
        if {record.row for record in records} & set(table_rows(options.table, shown)):
            table = compile.compile_table(options.table, shown, records)
            say(f"{table.title}, as measured so far\n")
            print_table(table.frame)
            print()
    command.show_plan(plan, options)
    if (code := command.why_not(plan, options)) is not None:
        return code
    execution = command.carry_out(f"{options.table} (preset {preset})", plan, options)
    code = command.report(execution)
    if preset in KEPT and not execution.stopped:
        rows = {(job.experiment, job.dataset) for job in asked}
        test_rows(options.table, rows, compile.records_of(preset))
    show(options.table, preset)
    return code


def show(table: str, preset: str) -> None:
    """Compile the table and its figures, and print where they are."""
    records = compile.records_of(preset)
    if preset not in KEPT or table in published.tables():
        compiled = compile.compile_table(table, preset, records)
        compile.publish(compile.forms(compiled), preset)
    figures = [table] if table in FIGURES else table_config(table).figures
    for figure in figures:
        complete_figure(figure, records)
        for path in compile.write_figure(figure, preset, records):
            print(path)


def complete_figure(figure: str, records: Sequence[RunRecord]) -> None:
    """Run the analyses a figure lacks: one per row, on its lowest seed that has weights."""
    asked = [(panel.analysis, row) for panel in FIGURES[figure] for row, _ in panel.rows]
    for name, row in dict.fromkeys(asked):
        trained = [r for r in records if r.experiment == row and not r.diverged]
        if name is None or any((record.folder / f"{name}.csv").exists() for record in trained):
            continue
        reason = ""
        for record in trained:
            reason = ask_eval(record.folder, f"analysis={name}").reason
            if not reason:
                break
        if reason:
            print(f"{row}: no {name}.csv. {reason}")


def test_rows(table: str, rows: Collection[tuple[str, str]], records: Sequence[RunRecord]) -> None:
    """Run the tests that a table asks for on records that still lack them.

    Args:
        rows: experiment and data set of each row to test.
    """
    asked = [
        (record, line.test)
        for record in records
        if record.row in rows and record.counts and not record.diverged
        for line in published.lines(table)
        if line.row == record.row and line.test
    ]
    for record, name in asked:
        if (record.folder / f"{name}.csv").exists():
            continue
        arguments = published.test_arguments(name)
        print(f"{record.run}: test by {' '.join(arguments)}", flush=True)
        if reason := ask_eval(record.folder, *arguments, "save=true").reason:
            print(f"{record.run}: no {name}.csv. {reason}")


if __name__ == "__main__":
    sys.exit(main())
