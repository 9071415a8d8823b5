"""Compile tables and figures from records.

python -m experiments.compile table [he2015_residual/table6] [--preset smoke]
python -m experiments.compile figure [he2015_residual/fig6] [--preset smoke]
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments import curves, published, readme, tables
from experiments.records import RecordError, RunRecord, load_all


def output_folder() -> Path:
    """Where shortened runs and what is compiled from them go."""
    return Path(os.environ.get("OUTPUT_DIR", "outputs"))


def result_folder() -> Path:
    """Where records of full recipes and what is compiled from them go."""
    return Path(os.environ.get("RESULTS_DIR", "results"))


def records_of(preset: str) -> list[RunRecord]:
    """The finished records of a preset.

    Raises:
        RecordError: one is damaged.
    """
    runs = result_folder() / "runs" if preset == "paper" else output_folder() / "runs" / preset
    return load_all(runs) if runs.exists() else []


def compiled_folder(preset: str) -> Path:
    """Where tables/ and figures/ of a preset go."""
    return result_folder() if preset == "paper" else output_folder() / preset


def write_table(table: str, preset: str) -> tuple[pd.DataFrame, list[Path]]:
    """Compile a table and write it; returns it and the files.

    Raises:
        PublishedError: there is no such table.
        RecordError: a record is damaged.
    """
    title, records = published.titles().get(table, table), records_of(preset)
    if preset == "paper":
        frame, notes = tables.compile_table(table, records), tables.paper_notes(table)
    else:
        frame = tables.shortened_table(records)
        title = f"{title} - preset {preset}"
        notes = [shortened_note(preset, records)]
    stem = compiled_folder(preset) / "tables" / table
    return frame, tables.write_table(frame, stem, title, notes)


def write_figure(figure: str, preset: str) -> list[Path]:
    """Draw a figure and write it; returns the files.

    Raises:
        PublishedError: there is no such figure.
        RecordError: a record is damaged.
    """
    if figure not in curves.FIGURES:
        known = ", ".join(curves.FIGURES)
        raise published.PublishedError(f"Unknown figure {figure}; choose one of {known}.")
    records = records_of(preset)
    if preset == "paper":
        records = [record for record in records if record.counts]
    note = "" if preset == "paper" else shortened_note(preset, records)
    drawn = curves.draw(curves.FIGURES[figure], records, note)
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
            for figure in options.names or curves.FIGURES:
                print(*write_figure(figure, options.preset))
            return 0
        everything = [t for t in published.titles() if t not in curves.FIGURES]
        for table in options.names or everything:
            frame, paths = write_table(table, options.preset)
            print(tables.to_markdown(frame), *paths, sep="\n")
        if options.preset == "paper":
            readme.update()
    except (RecordError, published.PublishedError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
