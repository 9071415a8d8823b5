"""Compile tables and figures from records.

python -m experiments.compile table [he2015_residual/table6|claims|quoted] [--preset tenth]
python -m experiments.compile figure [he2015_residual/fig6] [--preset tenth]
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from experiments.figures import against, drawing
from experiments.figures.drawing import FIGURES
from experiments.papers import architecture, datasets, published
from experiments.papers.claims import claims
from experiments.papers.conf import PlanError, preset_scale, table_config, table_rows
from experiments.papers.rows import facts
from experiments.plan.estimate import seconds_on_gpu
from experiments.plan.jobs import Job
from experiments.tables import readme
from experiments.tables.claims import CLAIMS, claims_table, judge
from experiments.tables.layout import printed
from experiments.tables.overview import Overview, overview
from experiments.tables.quoted import QUOTED, quoted_table
from experiments.tables.sheets import Sheet, write
from experiments.tables.tables import PaperTable, paper_table, shortened_table
from experiments.tables.terminal import print_table, say
from experiments.verdicts.loading import records_of
from experiments.verdicts.records import RunRecord, counting
from records.command import argument_parser, guarded, one_of
from records.names import FULL, KEPT, compiled_folder
from records.schema import PRESETS
from records.words import duration


def compile_table(table: str, preset: str, records: Sequence[RunRecord]) -> Sheet:
    """Compile a table from the records of a preset.

    Raises:
        PublishedError, PlanError: there is no such table.
    """
    if table in architecture.tables():
        return _architecture(table)
    if table == QUOTED:
        return quoted_table()
    if table == CLAIMS:
        if preset not in KEPT:
            raise PlanError(f"PRESET={preset} cannot decide claims; use {' or '.join(KEPT)}.")
        return claims_table(judge(claims(), records, preset), preset)
    if preset in KEPT:
        return paper_table(table, records, preset)
    shown, note = _shortened(table, preset, records)
    return shortened_table(table, f"{table}: shortened runs, preset {preset}", note, shown)


def compile_all(records: Sequence[RunRecord], preset: str = FULL) -> Iterator[Sheet]:
    """Yield every table, compiled from the records of a kept preset, then their overview."""
    compared = []
    for table in published.tables():
        compared.append(paper_table(table, records, preset))
        yield from forms(compared[-1])
    if preset == FULL:  # networks do not depend on the schedule
        yield from map(_architecture, architecture.tables())
        yield quoted_table()
    yield overview(compared, preset, {table.name: cost(table.name, preset) for table in compared})


def cost(table: str, preset: str) -> str:
    """Time to train every row of a table once on an H100; empty if it trains nothing."""
    rows = {line.row for line in published.lines(table) if facts(*line.row)}
    return duration(sum(seconds_on_gpu(Job(*row, 0, preset)) for row in rows)) if rows else ""


def forms(table: Sheet) -> list[Sheet]:
    """The table and, if its paper prints it differently, the table in that layout."""
    other = printed(table) if isinstance(table, PaperTable) else None
    return [table, other] if other else [table]


def draw_figure(figure: str, preset: str, records: Sequence[RunRecord]) -> Figure | None:
    """Draw a figure from the records of a preset, or return None if none of them appears in it:
    published numbers alone are not a figure of ours.

    Raises:
        PublishedError: there is no such figure.
    """
    if figure not in FIGURES:
        raise published.PublishedError(published.unknown("figure", figure, FIGURES))
    panels = FIGURES[figure]
    if preset in KEPT:
        runs = counting(records, preset)
        run = {record.row for record in runs for panel in panels if panel.shows(record)}
        if len(drawing.idle(panels, run)) == len(panels):
            return None
        scale = preset_scale(preset)
        note = "" if scale == 1 else f"On a {preset} of the schedule, all else equal."
        return drawing.draw(panels, runs, note, scale)
    shown, note = _shortened(figure, preset, records)
    return drawing.draw(panels, shown, note, None) if shown else None


def write_figure(figure: str, preset: str, records: Sequence[RunRecord]) -> list[Path]:
    """Draw a figure and save it; return the files, none if there is nothing to draw yet.

    Raises:
        PublishedError: there is no such figure.
    """
    drawn = draw_figure(figure, preset, records)
    return drawing.save(drawn, compiled_folder(preset) / "figures" / figure)


def draw_against(total: Overview) -> Figure | None:
    """Plot published errors against ours for every row that has both; None if no row does, and on a
    part of the schedule, where the two cannot be compared."""
    if total.preset != FULL:
        return None
    dots = [
        against.Dot(
            result.line.label + (f", {result.line.layers}" if result.line.layers else ""),
            published.typical(result.line.reported).number, result.measured.value,
            result.interval, result.measured.runs, result.verdict,
            datasets.of(result.line.dataset).margin,
        )
        for result in total.results
        if result.measured.value is not None
    ]  # fmt: skip
    return against.draw(dots) if dots else None


def figure_heading(figure: str) -> str:
    """Heading of a figure."""
    return table_config(figure).title


def publish(tables: Iterable[Sheet], preset: str) -> None:
    """Write tables and print them with their files; update the pages that show them."""
    for table in tables:
        paths = write(table, preset)
        say(f"\n{table.title}\n")
        print_table(table.frame, str(paths[0]))
        print(*paths, sep="\n")
    if preset in KEPT:
        readme.update()


def _architecture(table: str) -> Sheet:
    frame = architecture.layers_table(table)
    return Sheet(table, architecture.title(table), frame, architecture.NOTES)


def _shortened(
    table: str, preset: str, records: Sequence[RunRecord]
) -> tuple[list[RunRecord], str]:
    """The shortened runs behind a table or figure, and the note to print with them.

    Raises:
        PlanError: there is no such table.
    """
    overrides = table_config(table).smoke_overrides if preset == "smoke" else ()
    rows = table_rows(table, preset)
    shown = [
        r
        for r in records
        if r.row in rows and r.run == Job(r.experiment, r.dataset, r.seed, preset, overrides).run
    ]
    data = ", ".join(sorted({record.dataset for record in shown})) or "no data"
    return shown, f"Shortened runs (preset {preset}, {data}): not comparable with the paper."


@guarded
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("kind", choices=("table", "figure"))
    parser.add_argument("names", nargs="*", help="default: all")
    parser.add_argument("--preset", default=FULL, type=one_of("PRESET", PRESETS))
    options = parser.parse_intermixed_args(arguments)  # names may follow --preset
    preset, records = options.preset, records_of(options.preset)
    if not options.names and preset not in KEPT:
        variable = options.kind.upper()
        raise PlanError(
            f"PRESET={preset} needs {variable}=, one of its own: see PRESET=paper PLAN=1."
        )
    if options.kind == "figure":
        idle = list[str]()
        for figure in options.names or FIGURES:
            paths = write_figure(figure, preset, records)
            print("".join(f"{path}\n" for path in paths), end="")
            idle += [] if paths else [figure]
        if idle:
            print(f"Not drawn, since nothing in them is measured yet: {', '.join(idle)}.")
        return 0
    named = (
        form for table in options.names for form in forms(compile_table(table, preset, records))
    )
    publish(named if options.names else compile_all(records, preset), preset)
    return 0


if __name__ == "__main__":
    sys.exit(main())
