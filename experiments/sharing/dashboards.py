"""The W&B dashboard of each paper, as code: its figures' panels, and its tables.

A dashboard is a W&B report, because only there can a panel select its runs: those of its figure's
rows, as sent by `make wandb-sync`. It is written as JSON, which needs no network, and published
when logged in; publishing again updates it.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import wandb_workspaces.reports.v2 as wr
from wandb_workspaces import expr

from experiments import compile
from experiments.figures.drawing import FIGURES
from experiments.figures.training import Curves, Gradients
from experiments.papers import published
from experiments.papers.published import Paper
from experiments.sharing.wandb_sync import JOB
from experiments.tables.sheets import Sheet, to_markdown
from experiments.tables.tables import PaperTable
from experiments.verdicts.records import RunRecord
from records.names import outputs


def write(records: Sequence[RunRecord], project: str) -> list[Path]:
    """Write the dashboard of every paper as JSON; return the files."""
    compiled = list(compile.compile_all(records))
    paths = []
    for paper in published.papers():
        spec = build(paper, compiled, project)._to_model().spec
        text = spec.model_dump_json(by_alias=True, exclude_none=True)
        path = folder() / f"{paper.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(numbered(json.loads(text), count()), indent=1) + "\n")
        paths.append(path)
    return paths


def publish(records: Sequence[RunRecord], project: str, entity: str) -> list[str]:
    """Publish or update the dashboard of every paper of which a row has run; return their URLs."""
    compiled = list(compile.compile_all(records))
    addresses = []
    for paper in published.papers():
        if not _has_run(paper, compiled):
            continue
        report = build(paper, compiled, project, entity)
        mark = folder() / f"{paper.name}-{entity}-{project}.id"
        if mark.exists():
            report.id = mark.read_text(encoding="utf-8")
        report.save()
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(report.id, encoding="utf-8")
        addresses.append(str(report.url))
    return addresses


def _has_run(paper: Paper, compiled: Sequence[Sheet]) -> bool:
    """Whether a table or figure of a paper holds a number of ours."""
    tables = (one for one in compiled if isinstance(one, PaperTable))
    return any(
        table.name.startswith(f"{paper.name}/") and any(one.records for one in table.results)
        for table in tables
    )


def folder() -> Path:
    """Where dashboards are written."""
    return outputs() / "dashboards"


def build(paper: Paper, compiled: Sequence[Sheet], project: str, entity: str = "") -> Any:
    """Build the dashboard of a paper."""
    blocks: list[Any] = [wr.TableOfContents()]
    for name, panels in FIGURES.items():
        if name.startswith(f"{paper.name}/"):
            # W&B has curves, but no analyses of weights.
            shown = [panel for panel in panels if isinstance(panel, Curves | Gradients)]
            grids = [grid(panel, project, entity) for panel in shown]
            blocks += [wr.H2(compile.figure_heading(name)), *grids] if grids else []
    for table in compiled:
        if table.name.startswith(f"{paper.name}/"):
            text = to_markdown(table.frame)
            blocks += [wr.H2(table.title), wr.MarkdownBlock(text), *bars(table, project, entity)]
    return wr.Report(
        entity=entity,
        project=project,
        title=f"{paper.cited}: {paper.title}",
        description="Made from records by `make wandb-sync`.",
        blocks=blocks,
        width="fluid",
    )


def grid(panel: Curves | Gradients, project: str, entity: str) -> Any:
    """The curves of a panel, from the runs of its rows."""
    by_dataset: dict[str, list[str]] = {}
    for curve in panel.curves:
        by_dataset.setdefault(curve.dataset, []).append(curve.experiment)
    runs = [runset(panel.title, rows, data, project, entity) for data, rows in by_dataset.items()]
    if isinstance(panel, Gradients):
        line = wr.LinePlot(title=panel.title, x="epoch", y=["gradient"], log_y=True)
        return wr.PanelGrid(runsets=runs, panels=[line])
    x = "epoch" if panel.epochs else "iteration"
    training, errors = panel.training.replace("_", "/", 1), (panel.floor, panel.limit)
    limits = errors if training == "train/error" else (None, None)
    shown = (("test", "test/error", errors), ("training", training, limits))
    lines = [
        wr.LinePlot(title=f"{panel.title}: {name}", x=x, y=[metric], range_y=limits)
        for name, metric, limits in shown
        if metric
    ]
    return wr.PanelGrid(runsets=runs, panels=list(lines))


def bars(table: Sheet, project: str, entity: str) -> list[Any]:
    """The test errors of a table as bars, one plot per data set; none if it has no errors."""
    if not isinstance(table, PaperTable) or table.paper.metric != published.ERROR:
        return []
    rows: dict[str, list[str]] = {}
    for result in table.results:
        rows.setdefault(result.line.dataset, []).append(result.line.experiment)
    return [
        wr.PanelGrid(
            runsets=[runset(table.name, experiments, dataset, project, entity)],
            panels=[wr.BarPlot(title=f"{dataset}: test error (%)", metrics=["test_error.last"])],
        )
        for dataset, experiments in rows.items()
    ]


def runset(name: str, rows: Sequence[str], dataset: str, project: str, entity: str) -> Any:
    """The records of rows on a data set, with the seeds of a row grouped."""
    return wr.Runset(
        entity=entity,
        project=project,
        name=name,
        groupby=["Group"],
        filters=expr.And(
            expr.Metric("JobType") == JOB,
            expr.Metric("Group").isin(list(rows)),
            expr.Config("dataset") == dataset,
        ),
    )


def numbered(content: Any, numbers: Iterator[int]) -> Any:
    """Replace random ids by counted ones, so that the same content gives the same bytes."""
    if isinstance(content, list):
        return [numbered(item, numbers) for item in content]
    if not isinstance(content, dict):
        return content
    return {
        key: f"id{next(numbers)}" if key in ("id", "__id__") else numbered(value, numbers)
        for key, value in content.items()
    }
