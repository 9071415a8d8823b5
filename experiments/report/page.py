"""The report: gathered from records and published numbers, and rendered as one HTML file with its
style, script and pictures."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from experiments import compile
from experiments.figures.drawing import FIGURES
from experiments.papers import claims as paper_claims
from experiments.papers import published, recipes
from experiments.papers.rows import all_rows
from experiments.report import figures as figure_views
from experiments.report import runs as run_views
from experiments.report import tables as table_views
from experiments.tables import cards, claims, decided, readme
from experiments.tables.claims import Judged
from experiments.tables.overview import Overview
from experiments.tables.quoted import QUOTED
from experiments.tables.sheets import write
from experiments.tables.tables import general, scaled_note
from experiments.verdicts import simulation
from experiments.verdicts.loading import survey
from experiments.verdicts.records import RunRecord, by_row
from records.names import FULL, KEPT, runs_folder

TITLE = "Residual to Dense"
PAGES = {preset: "index.html" if preset == FULL else f"{preset}.html" for preset in KEPT}


def gather(preset: str) -> dict[str, Any]:
    """Compile everything from the records of a kept preset, write tables, figures and cards, and
    return the variables of page.html.j2 by name.

    Raises:
        PublishedError, PlanError: a file of published numbers, claims or tables has a mistake.
    """
    records, faults = survey(runs_folder(preset), preset)
    groups = by_row(records)
    *compiled, total = compile.compile_all(records, preset)
    assert isinstance(total, Overview)
    judged = claims.judge(paper_claims.claims(), records, preset)
    for table in [*compiled, total, claims.claims_table(judged, preset)]:
        write(table, preset)
    cards.write_all(records, preset)
    readme.update()
    figures = [figure_views.view(name, records, preset) for name in FIGURES]
    tables = [table_views.view(table, groups.keys(), preset) for table in compiled]
    against = figure_views.against(total, preset)
    # Recipe sheets describe full schedules: only the page of those shows them.
    trained_by = {p.name: recipes_of(p.name) for p in published.papers() if preset == FULL}
    overview, waiting = table_views.overviews(total, preset)
    return {
        "preset": preset,
        "title": TITLE if preset == FULL else f"{TITLE}, a {preset} of the schedule",
        "pages": PAGES.items(),
        "schedule": "" if preset == FULL else scaled_note(preset),
        "tiles": tiles(total, judged, records),
        "against": against,
        "overview": overview,
        "waiting": waiting,
        "sections": [
            {
                "paper": paper,
                "tables": [one for one in tables if one["paper"] == paper.name],
                "figures": [one for one in figures if one["paper"] == paper.name],
                "claims": [one for one in judged if one.claim.source.startswith(paper.cited)],
                "recipes": trained_by.get(paper.name, []),
            }
            for paper in published.papers()
        ],
        "claim_files": table_views.table_files("claims", preset)[:2],
        "quoted": next((table for table in tables if table["name"] == QUOTED), None),
        "recipes": [
            (name, table_views.block(recipes.sheet(name)))
            for name in sorted(set().union(*trained_by.values()))
        ],
        "groups": groups,
        "runs": len(records),
        "faults": faults,
        "costs": run_views.costs(records).drop(columns="cpu").round(1),
        "rules": [table_views.inline(rule) for rule in general(preset)],
        "decisions": simulation.table(),
        "decided": decided.table(),
        "data": {
            "runs": run_views.curves(records),
            "figures": {one["anchor"]: one["axes"] for one in (*figures, against) if one},
        },
    }


def recipes_of(paper: str) -> list[str]:
    """The recipes of a paper's own rows, and of those that its tables quote."""
    tables = [table for table in published.tables() if published.paper_of(table) == paper]
    quoted = {line.row for table in tables for line in published.lines(table)}
    return sorted({
        known.recipe for row, known in all_rows().items()
        if row in quoted or published.paper_of(known.experiment) == paper
    })  # fmt: skip


def tiles(
    total: Overview, judged: Sequence[Judged], records: Sequence[RunRecord]
) -> list[tuple[str, str]]:
    """Headline numbers and their captions, for the top of the page."""
    counting = sum(record.counts for record in records)
    verdicts = [claim.verdict for claim in judged]
    decided = [verdict for verdict in verdicts if verdict in (claims.HOLDS, claims.FAILS)]
    compared = [
        (str(len(total.compared)), "rows compared with a published number"),
        (str(total.compared.count("reproduced")), "of them reproduced"),
    ]
    schedule = "the full schedule" if total.preset == FULL else f"a {total.preset} of the schedule"
    spent = run_views.costs(records)
    costs = [
        (spent["Device minutes"][~spent["cpu"]].sum(), 0, "GPU minutes"),
        (spent["Training minutes"][spent["cpu"]].sum() / 60, 1, "hours on a CPU"),
    ]
    return [
        (str(counting), f"runs on {schedule}, of {len(records)} records"),
        *(compared if total.preset == FULL else []),
        (f"{verdicts.count(claims.HOLDS)} of {len(decided)}",
         f"decided claims hold ({len(judged)} claims in all)"),
        *[(f"{cost:,.{digits}f}", caption) for cost, digits, caption in costs if cost],
    ]  # fmt: skip


def render(content: dict[str, Any]) -> str:
    """Render the page; the same content gives the same bytes."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Without `<` nothing in it can end the script element.
    data = json.dumps(content["data"], separators=(",", ":"), allow_nan=False)
    template = environment.get_template("page.html.j2")
    page = template.render(page=content, runs=run_views, data=data.replace("<", "\\u003c"))
    return page.strip() + "\n"
