"""Everything that the report says, gathered from records and published numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from experiments import compile
from experiments.figures.figures import FIGURES
from experiments.papers import claims as paper_claims
from experiments.papers import published, recipes
from experiments.papers.published import Paper
from experiments.papers.rows import all_rows
from experiments.report import claims as claim_views
from experiments.report import figures as figure_views
from experiments.report import runs as run_views
from experiments.report import tables as table_views
from experiments.report.claims import ClaimView
from experiments.report.figures import FigureView
from experiments.report.runs import Cost, Group
from experiments.report.tables import TableView
from experiments.tables import claims, decided, readme
from experiments.tables.claims import Judged
from experiments.tables.overview import Overview
from experiments.tables.quoted import QUOTED
from experiments.tables.sheets import Table, write
from experiments.tables.tables import PaperTable, general, scaled_note
from experiments.verdicts import simulation
from experiments.verdicts.records import RunRecord, survey
from records.names import FULL, KEPT, runs_folder

PAGES = {preset: "index.html" if preset == FULL else f"{preset}.html" for preset in KEPT}


@dataclass(frozen=True)
class Recipe:
    """A recipe that rows are trained by, and its sheet."""

    name: str
    sheet: Markup


@dataclass(frozen=True)
class Section:
    """What the report says of one paper."""

    paper: Paper
    tables: Sequence[TableView]
    figures: Sequence[FigureView]
    claims: Sequence[ClaimView]
    recipes: Sequence[str]


@dataclass(frozen=True)
class Page:
    """A page of the report: whose records it shows, its file, and whether it is this one."""

    preset: str
    file: str
    here: bool


@dataclass(frozen=True)
class Content:
    """What the report says.

    Attributes:
        pages: one for each schedule, this one among them.
        claims: the files of all claims.
        schedule: what has to be said of another schedule than the papers'.
        overview, waiting: verdicts by table, and the tables of which nothing has run.
        against: published errors and ours; None where there are none to compare.
        quoted: what the tables quote, and what trains it; on the full schedule's page.
        tiles: number and caption of what stands at the top.
        recipes: the sheets of all recipes; on the full schedule's page.
        rules: how tables are to be read.
        costs: runs and minutes by device.
        decisions: how often the rules decide rightly and wrongly, on drawn runs.
        decided: how often each claim would be, if the papers' numbers are the truth.
        faults: what is wrong with the records that are left out.
        data: curves, by run and by figure, for the page's script.
    """

    pages: Sequence[Page]
    claims: Sequence[tuple[str, str]]
    schedule: str
    overview: TableView
    waiting: TableView
    against: FigureView | None
    quoted: TableView | None
    tiles: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    recipes: Sequence[Recipe]
    rules: Sequence[Markup]
    groups: Sequence[Group]
    costs: Sequence[Cost]
    faults: Sequence[str]
    decisions: pd.DataFrame
    decided: pd.DataFrame
    runs: int
    data: dict[str, Any]


def gather(preset: str) -> Content:
    """Compile everything from the records of a kept preset, write tables and figures, collect.

    Raises:
        PublishedError, PlanError: a file of published numbers, claims or tables has a mistake.
    """
    records, faults = survey(runs_folder(preset), preset)
    measured = {record.row for record in records}
    *compiled, total = compile.compile_all(records, preset)
    assert isinstance(total, Overview)
    judged = claims.judge(paper_claims.claims(), records, preset)
    for table in [*compiled, total, claims.claims_table(judged, preset)]:
        write(table, preset)
    readme.update()
    figures = [figure_views.view(name, records, preset) for name in FIGURES]
    tables = table_views.views(compiled, measured, preset)
    against = figure_views.against(total, preset)
    claimed = claim_views.views(judged, measured)
    # The sheets are of full recipes, and stand on the page of these.
    trained_by = recipes_of(compiled) if preset == FULL else {}
    overview, waiting = table_views.overviews(total, preset)
    pages = [Page(name, PAGES[name], name == preset) for name in KEPT]
    return Content(
        claims=table_views.table_files("claims", preset)[:2],
        pages=pages,
        schedule="" if preset == FULL else scaled_note(preset),
        overview=overview,
        waiting=waiting,
        against=against,
        quoted=next((table for table in tables if table.name == QUOTED), None),
        tiles=tiles(total, judged, records),
        sections=[
            Section(
                paper=paper,
                tables=[table for table in tables if table.name.startswith(f"{paper.name}/")],
                figures=[one for one in figures if one.name.startswith(f"{paper.name}/")],
                claims=[claim for claim in claimed if claim.source.startswith(paper.cited)],
                recipes=trained_by.get(paper.name, []),
            )
            for paper in published.papers()
        ],
        recipes=[
            Recipe(name, table_views.block(recipes.sheet(name)))
            for name in sorted(set().union(*trained_by.values()))
        ],
        rules=[table_views.inline(rule) for rule in general(preset)],
        groups=run_views.groups(records),
        costs=run_views.costs(records),
        faults=[str(fault) for fault in faults],
        decisions=simulation.table(),
        decided=decided.table(),
        runs=len(records),
        data={
            "runs": run_views.curves(records),
            "figures": {one.anchor: one.axes for one in (*figures, against) if one},
        },
    )


def recipes_of(tables: Sequence[Table]) -> dict[str, list[str]]:
    """By paper, the recipes of the rows in its tables."""
    rows = {
        (published.paper_of(table.name), *result.row)
        for table in tables
        if isinstance(table, PaperTable)
        for result in table.results
    }
    return {
        paper.name: sorted({
            row.recipe for key, row in all_rows().items()
            if (paper.name, *key) in rows or published.paper_of(row.experiment) == paper.name
        })
        for paper in published.papers()
    }  # fmt: skip


def tiles(
    total: Overview, judged: Sequence[Judged], records: Sequence[RunRecord]
) -> list[tuple[str, str]]:
    """What stands at the top of the page."""
    counting = sum(record.counts for record in records)
    verdicts = [claim.verdict for claim in judged]
    decided = [verdict for verdict in verdicts if verdict in (claims.HOLDS, claims.FAILS)]
    compared = [
        (str(len(total.compared)), "rows compared with a published number"),
        (str(total.compared.count("reproduced")), "of them reproduced"),
    ]
    schedule = "full recipe" if total.preset == FULL else f"{total.preset} of the schedule"
    spent = run_views.costs(records)
    costs = [
        (sum(cost.alone for cost in spent if cost.gpu), 0, "GPU minutes"),
        (sum(cost.training for cost in spent if not cost.gpu) / 60, 1, "hours on a CPU"),
    ]
    return [
        (str(counting), f"runs of a {schedule}, of {len(records)} records"),
        *(compared if total.preset == FULL else []),
        (f"{verdicts.count(claims.HOLDS)} of {len(decided)}",
         f"decided claims hold, of {len(judged)}"),
        *[(f"{cost:,.{digits}f}", caption) for cost, digits, caption in costs if cost],
    ]  # fmt: skip
