"""Compile tables and figures from records.

python -m experiments.compile table [he2015_residual/table6] [--preset smoke]
python -m experiments.compile figure [he2015_residual/fig6] [--preset smoke]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments import architecture, curves, figures, published, readme, tables
from experiments.folders import compiled_folder, runs_folder
from experiments.jobs import Job, PlanError
from experiments.plan import table_config, table_rows
from experiments.records import RunRecord, load_all


def records_of(preset: str, table: str | None = None) -> list[RunRecord]:
    """The finished records of a preset; with a table, only those that the table is made of.

    Raises:
        PlanError: there is no such table.
    """
    runs = runs_folder(preset)
    records = load_all(runs)
    if preset == "paper" or table is None:
        return records
    overrides = table_config(table)["table"].get("smoke_overrides", ()) if preset == "smoke" else ()
    rows = table_rows(table, preset)
    return [
        record
        for record in records
        if (record.experiment, record.dataset) in rows
        and record.run == _job(record, preset, overrides).run
    ]


def _job(record: RunRecord, preset: str, overrides: Sequence[str]) -> Job:
    return Job(record.experiment, record.dataset, record.seed, preset, tuple(overrides))


def write_table(table: str, preset: str) -> tuple[pd.DataFrame, list[Path]]:
    """Compile a table and write it; returns it and the files.

    Raises:
        PublishedError: there is no such table.
    """
    records = records_of(preset, table)
    if preset == "paper":
        frame, notes = tables.compile_table(table, records), tables.paper_notes(table)
        title = published.titles()[table]
    else:
        frame = tables.shortened_table(records)
        title = f"{table}: shortened runs, preset {preset}"
        notes = [shortened_note(preset, records)]
    stem = compiled_folder(preset) / "tables" / table
    return frame, tables.write_table(frame, stem, title, notes)


def write_architecture(table: str) -> tuple[pd.DataFrame, list[Path]]:
    """Compile an architecture table and write it; returns it and the files."""
    frame = architecture.compile_table(table)
    stem = compiled_folder("paper") / "tables" / table
    title = f"{table}: architectures, as built"
    return frame, tables.write_table(frame, stem, title, architecture.NOTES)


def write_figure(figure: str, preset: str) -> list[Path]:
    """Draw a figure and write it; returns the files.

    Raises:
        PublishedError: there is no such figure.
    """
    if figure not in figures.FIGURES:
        known = ", ".join(figures.FIGURES)
        raise published.PublishedError(f"Unknown figure {figure}; choose one of {known}.")
    records = records_of(preset, figure)
    if preset == "paper":
        rows = table_rows(figure)
        records = [r for r in records if r.counts and (r.experiment, r.dataset) in rows]
    note = "" if preset == "paper" else shortened_note(preset, records)
    drawn = curves.draw(figures.FIGURES[figure], records, note)
    return curves.save(drawn, compiled_folder(preset) / "figures" / figure)


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
    try:
        if options.kind == "figure":
            for figure in options.names or figures.FIGURES:
                print(*write_figure(figure, options.preset))
            return 0
        everything = [*published.titles(), *architecture.tables()]
        for table in options.names or everything:
            if table in architecture.tables():
                frame, paths = write_architecture(table)
            else:
                frame, paths = write_table(table, options.preset)
            print(tables.to_markdown(frame), *paths, sep="\n")
        if options.preset == "paper":
            readme.update()
    except (PlanError, published.PublishedError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
