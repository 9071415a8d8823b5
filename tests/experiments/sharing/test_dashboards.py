"""W&B dashboards as code: what they show, of which runs; nothing here reaches a network."""

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.figures.drawing import FIGURES
from experiments.papers import published
from experiments.sharing import wandb_sync
from experiments.verdicts.loading import load_all
from experiments.verdicts.records import RunRecord
from records.files import ROOT

pytest.importorskip("wandb_workspaces", reason="no wandb-workspaces (extra: dashboards)")
from experiments.sharing import dashboards

GOLDEN = ROOT / "tests" / "golden" / "runs"


@pytest.fixture(scope="module")
def records() -> list[RunRecord]:
    return load_all(GOLDEN)


@pytest.fixture(scope="module")
def written(records: list[RunRecord], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The dashboards by paper, as they are read back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTPUT_DIR", str(tmp_path_factory.mktemp("outputs")))
        return {path.stem: json.loads(path.read_text()) for path in dashboards.write(records, "p")}


def grids(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [block["metadata"] for block in spec["blocks"] if block["type"] == "panel-grid"]


def filters(grid: dict[str, Any]) -> dict[str, Any]:
    (runset,) = grid["runSets"]
    return {item["key"]["name"]: item["value"] for item in runset["filters"]["filters"]}


def panels(grid: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel["config"] for panel in grid["panelBankSectionConfig"]["panels"]]


def test_every_paper_has_one(written: dict[str, Any]) -> None:
    assert list(written) == [paper.name for paper in published.papers()]


def test_the_panels_of_fig6_show_its_runs(written: dict[str, Any]) -> None:
    every = grids(written["he2015_residual"])
    found = [grid for grid in every if filters(grid)["dataset"] == "cifar10_aug"][:3]
    for grid, panel in zip(found, FIGURES["he2015_residual/fig6"], strict=True):
        rows = [curve.experiment for curve in panel.curves]  # type: ignore[union-attr]
        assert filters(grid) == {"jobType": "record", "group": rows, "dataset": "cifar10_aug"}
        test, training = panels(grid)
        assert test["metrics"] == ["test/error"] and training["metrics"] == ["train/error"]
        for line in (test, training):
            assert (line["xAxis"], line["yAxisMin"], line["yAxisMax"]) == ("iteration", 0, 20)


def test_tables_stand_in_it_as_compiled(written: dict[str, Any]) -> None:
    texts = [b["content"] for b in written["he2015_residual"]["blocks"] if "content" in b]
    assert any("6.40 (6.60 ± 0.16)" in text and "reproduced" in text for text in texts)
    for paper, spec in written.items():
        heads = {b["children"][0]["text"] for b in spec["blocks"] if b["type"] == "heading"}
        assert {
            t.title for name, t in published.tables().items() if name.startswith(paper)
        } <= heads


def test_it_asks_for_what_is_sent(
    written: dict[str, Any], records: list[RunRecord], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    """Every metric, group, job type and setting is one that `sync` gives to a run."""
    sent: dict[str, Any] = {"keys": set()}

    class Run:
        summary: dict[str, Any] = {}  # noqa: RUF012
        url = None

        def log(self, row: dict[str, Any], step: int) -> None:
            sent["keys"] |= set(row)

        def finish(self, exit_code: int) -> None:
            sent["exit_code"] = exit_code

    def init(**arguments: Any) -> Run:
        sent.update(arguments)
        return Run()

    monkeypatch.setattr("wandb.init", init)
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))  # which `sync` sets, put back afterwards
    monkeypatch.setenv("WANDB_MODE", "offline")
    frame = records[0].metrics().assign(gradient=0.1)
    monkeypatch.setattr(RunRecord, "metrics", lambda _: frame)
    assert wandb_sync.sync(records[0], "p")
    assert sent["job_type"] == "record" and sent["group"] == records[0].experiment
    assert sent["config"]["dataset"] == records[0].dataset
    # A run on a tenth of the schedule has the same name, and must not enter these panels.
    tenth = RunRecord(records[0].folder, records[0].summary | {"preset": "tenth"})
    full = dict(sent)
    assert wandb_sync.sync(tenth, "p")
    assert sent["job_type"] == "record-tenth" and sent["id"] != full["id"]
    # Nor must one that enters no table.
    edited = RunRecord(records[0].folder, records[0].summary | {"clean": False})
    monkeypatch.setenv("WANDB_ENTITY", "others")  # to whom nothing was sent yet
    assert wandb_sync.sync(edited, "p") and sent["job_type"] == "record-paper"
    assert sent["exit_code"] == 0
    diverged = RunRecord(records[0].folder, records[0].summary | {"status": "diverged"})
    assert wandb_sync.sync(diverged, "q") and sent["exit_code"] != 0
    sent.update(full)
    lines = [p for spec in written.values() for grid in grids(spec) for p in panels(grid)
             if "xAxis" in p]  # fmt: skip
    asked = {metric for line in lines for metric in [*line["metrics"], line["xAxis"]]}
    assert {"train/loss", "train/error", "test/error", "gradient", "epoch"} <= asked
    assert asked <= sent["keys"]


def test_the_same_records_give_the_same_bytes(
    records: list[RunRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path))
    before = {path: path.read_bytes() for path in dashboards.write(records, "p")}
    dashboards.write(records, "p")
    assert {path: path.read_bytes() for path in before} == before


def test_publishing_again_renews_what_was_published(
    records: list[RunRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb_workspaces.reports.v2 as wr

    saved = []

    def save(report: Any) -> None:
        saved.append(report.id)
        report.id = report.id or f"id of {report.title}"

    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path))
    monkeypatch.setattr(wr.Report, "save", save)
    monkeypatch.setattr(wr.Report, "url", property(lambda report: f"address of {report.id}"))
    first = dashboards.publish(records, "p", "me")
    papers = len(saved)
    assert saved == [""] * papers and papers == len(first)
    rows = {record.row for record in records}
    tables = [table for table in published.tables()
              if any(line.row in rows for line in published.lines(table))]  # fmt: skip
    assert papers == len(set(map(published.paper_of, tables))) < len(published.papers())
    assert dashboards.publish(records, "p", "me") == first
    assert all(name.startswith("id of ") for name in saved[papers:])
