"""Everything that the report says, gathered from records and published numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from experiments import claims, compile, overview, published, readme, recipes
from experiments.compile import Compiled
from experiments.figures import FIGURES
from experiments.folders import runs_folder
from experiments.published import Paper
from experiments.records import RunRecord, survey
from experiments.report import claims as claim_views
from experiments.report import figures as figure_views
from experiments.report import runs as run_views
from experiments.report import tables as table_views
from experiments.report.claims import ClaimView
from experiments.report.figures import FigureView
from experiments.report.runs import Cost, Group
from experiments.report.tables import TableView
from experiments.tables import GENERAL


@dataclass(frozen=True)
class Section:
    """What the report says of one paper."""

    paper: Paper
    tables: Sequence[TableView]
    figures: Sequence[FigureView]
    claims: Sequence[ClaimView]
    recipe: Markup


@dataclass(frozen=True)
class Content:
    """What the report says.

    Attributes:
        overview: verdicts by table.
        tiles: number and caption of what stands at the top.
        rules: how tables are to be read.
        fair: the recipe sheet that is no paper's own.
        costs: runs and minutes by device.
        faults: what is wrong with the records that are left out.
        data: curves, by run and by figure, for the page's script.
    """

    overview: TableView
    tiles: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    rules: Sequence[Markup]
    fair: Markup
    groups: Sequence[Group]
    costs: Sequence[Cost]
    faults: Sequence[str]
    runs: int
    data: dict[str, Any]


def gather() -> Content:
    """Compile everything from the records of full recipes, write tables and figures, collect.

    Raises:
        PublishedError, PlanError: a file of published numbers, claims or tables has a mistake.
    """
    records, faults = survey(runs_folder("paper"))
    measured = {(r.experiment, r.dataset) for r in records}
    compiled = list(compile.compile_all(records))
    for table in compiled:
        table.write("paper")
    claims.write(records)
    readme.update()
    figures = [figure_views.view(name, records) for name in FIGURES]
    *tables, total = [table_views.view(table, measured) for table in compiled]
    judged = claim_views.views(claims.claims(), records, measured)
    return Content(
        overview=total,
        tiles=tiles(compiled, judged, records),
        sections=[section(paper, tables, figures, judged) for paper in published.papers()],
        rules=[table_views.inline(rule) for rule in GENERAL],
        fair=table_views.block(recipes.sheet("fair")),
        groups=run_views.groups(records),
        costs=run_views.costs(records),
        faults=[str(fault) for fault in faults],
        runs=len(records),
        data={
            "runs": run_views.curves(records),
            "figures": {figure.anchor: figure.axes for figure in figures},
        },
    )


def section(
    paper: Paper,
    tables: Sequence[TableView],
    figures: Sequence[FigureView],
    judged: Sequence[ClaimView],
) -> Section:
    """What concerns one paper."""
    return Section(
        paper=paper,
        tables=[table for table in tables if table.name.startswith(f"{paper.name}/")],
        figures=[figure for figure in figures if figure.name.startswith(f"{paper.name}/")],
        claims=[claim for claim in judged if claim.source.startswith(paper.cited)],
        recipe=table_views.block(recipes.sheet(paper.name.partition("_")[0])),
    )


def tiles(
    compiled: Sequence[Compiled], judged: Sequence[ClaimView], records: Sequence[RunRecord]
) -> list[tuple[str, str]]:
    """What stands at the top of the page."""
    titles = published.titles()
    verdicts = overview.compared({t.name: t.frame for t in compiled if t.name in titles})
    counting = sum(record.counts for record in records)
    holding = sum(claim.verdict == claims.HOLDS for claim in judged)
    decided = sum(claim.verdict != claims.UNDECIDED for claim in judged)
    return [
        (str(counting), f"runs of a full recipe, of {len(records)} records"),
        (str(len(verdicts)), "rows compared with a published number"),
        (str(verdicts.count("reproduced")), "of them reproduced"),
        (f"{holding} of {decided}", f"decided claims hold, of {len(judged)}"),
        (f"{run_views.gpu_minutes(records):,.0f}", "GPU minutes"),
    ]
