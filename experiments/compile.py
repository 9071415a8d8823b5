"""Compile tables and figures from records.

python -m experiments.compile table [he2015_residual/table6] [--preset smoke]
python -m experiments.compile figure [he2015_residual/fig6] [--preset smoke]
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from experiments import architecture, curves, figures, overview, published, readme, tables
from experiments.folders import compiled_folder, runs_folder
from experiments.jobs import Job, PlanError
from experiments.plan import table_config, table_rows
from experiments.records import RunRecord, load_all


@dataclass(frozen=True)
class Compiled:
    """A compiled table: its cells, all of them text, and what stands above and below."""

    name: str
    title: str
    frame: pd.DataFrame
    notes: Sequence[str]

    def write(self, preset: str) -> list[Path]:
        """Write it as Markdown, CSV and LaTeX; returns the files."""
        stem = compiled_folder(preset) / "tables" / self.name
        return tables.write_table(self.frame, stem, self.title, self.notes)


def records_of(preset: str) -> list[RunRecord]:
    """Every intact record of a preset; the others are named."""
    return load_all(runs_folder(preset))


def compile_table(table: str, preset: str, records: Sequence[RunRecord]) -> Compiled:
    """Compile a table from the records of a preset.

    Raises:
        PublishedError, PlanError: there is no such table.
    """
    if table in architecture.tables():
        frame = architecture.compile_table(table)
        return Compiled(table, architecture.title(table), frame, architecture.NOTES)
    if preset == "paper":
        frame = tables.compile_table(table, records)
        return Compiled(table, published.titles()[table], frame, tables.paper_notes(table, frame))
    records = _own(table, preset, records)
    title, notes = f"{table}: shortened runs, preset {preset}", [shortened_note(preset, records)]
    return Compiled(table, title, tables.shortened_table(records), notes)


def compile_all(records: Sequence[RunRecord]) -> Iterator[Compiled]:
    """Every table, from the records of full recipes; last of all their overview."""
    compared: dict[str, pd.DataFrame] = {}
    for table in [*published.titles(), *architecture.tables()]:
        compiled = compile_table(table, "paper", records)
        yield compiled
        if table in published.titles():
            compared[table] = compiled.frame
    yield _overview(compared)


def _overview(compared: Mapping[str, pd.DataFrame]) -> Compiled:
    frame = overview.compile_overview(compared)
    return Compiled(overview.NAME, overview.TITLE, frame, overview.notes(compared))


def draw_figure(figure: str, preset: str, records: Sequence[RunRecord]) -> Figure:
    """Draw a figure from the records of a preset.

    Raises:
        PublishedError: there is no such figure.
    """
    if figure not in figures.FIGURES:
        raise published.PublishedError(published.unknown("figure", figure, figures.FIGURES))
    if preset == "paper":
        rows = table_rows(figure)
        shown = [r for r in records if r.counts and (r.experiment, r.dataset) in rows]
        return curves.draw(figures.FIGURES[figure], shown)
    shown = _own(figure, preset, records)
    return curves.draw(figures.FIGURES[figure], shown, shortened_note(preset, shown))


def write_figure(figure: str, preset: str, records: Sequence[RunRecord]) -> list[Path]:
    """Draw a figure and write it; returns the files.

    Raises:
        PublishedError: there is no such figure.
    """
    drawn = draw_figure(figure, preset, records)
    return curves.save(drawn, compiled_folder(preset) / "figures" / figure)


def _own(table: str, preset: str, records: Sequence[RunRecord]) -> list[RunRecord]:
    """The shortened runs that a table, or a figure, is made of.

    Raises:
        PlanError: there is no such table.
    """
    overrides = table_config(table)["table"].get("smoke_overrides", ()) if preset == "smoke" else ()
    rows = table_rows(table, preset)
    return [
        r
        for r in records
        if (r.experiment, r.dataset) in rows
        and r.run == Job(r.experiment, r.dataset, r.seed, preset, tuple(overrides)).run
    ]


def shortened_note(preset: str, records: Sequence[RunRecord]) -> str:
    """What has to be said beside shortened runs."""
    datasets = ", ".join(sorted({record.dataset for record in records})) or "no data"
    return f"Shortened runs (preset {preset}, {datasets}): not comparable with the paper."


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("table", "figure"))
    parser.add_argument("names", nargs="*", help="default: all")
    parser.add_argument("--preset", default="paper")
    options = parser.parse_args(arguments)
    preset, records = options.preset, records_of(options.preset)
    try:
        if options.kind == "figure":
            for figure in options.names or figures.FIGURES:
                print(*write_figure(figure, preset, records))
            return 0
        named = (compile_table(table, preset, records) for table in options.names)
        for compiled in named if options.names else compile_all(records):
            print(tables.to_markdown(compiled.frame), *compiled.write(preset), sep="\n")
        if preset == "paper":
            readme.update()
    except (PlanError, published.PublishedError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
