"""The notebook of the docs: its cells run, and find in the records what our own reader finds."""

import json
from typing import Any

import matplotlib as mpl
import pytest

from experiments.verdicts.aggregate import mean
from experiments.verdicts.loading import records_of
from experiments.verdicts.records import by_row, counting
from records.files import ROOT
from records.names import KEPT, runs_folder

mpl.use("Agg")
NOTEBOOK = ROOT / "docs" / "records.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_it_is_kept_without_outputs() -> None:
    for cell in CELLS:
        assert not cell.get("outputs") and cell.get("execution_count") is None
    assert NOTEBOOK.stat().st_size < 10_000


def test_its_cells_run(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.pyplot as plt

    known: dict[str, Any] = {}
    with monkeypatch.context() as patch:
        patch.chdir(NOTEBOOK.parent)  # where Jupyter starts it
        for cell in CELLS:
            if cell["cell_type"] == "code":
                exec("".join(cell["source"]), known)  # noqa: S102
    monkeypatch.chdir(ROOT)
    for preset, frame in zip(KEPT, (known["full"], known["tenth"]), strict=True):
        runs = {path.relative_to(runs_folder(preset).resolve()) for path in frame["folder"]}
        assert {run.as_posix() for run in runs} == {record.run for record in records_of(preset)}
    # He et al. 2015, Table 6 has 8.75 % for 20 layers.
    (line,) = known["both"].query("row == 'he2015_residual/table6/resnet20'").to_dict("records")
    own = [r.error("last") or 0 for r in records_of("paper") if r.experiment == line["row"]]
    assert line["difference"] == pytest.approx(sum(own) / len(own) - 8.75)
    # Rows by themselves, without those that were changed.
    counted = by_row(counting(records_of("tenth"), "tenth"))[
        "he2015_residual/table6/resnet20", "cifar10_aug"
    ]
    expected = mean(record.error("last") for record in counted)
    assert known["means"].loc[20, "resnet"] == pytest.approx(expected)
    curves, depths = map(plt.figure, plt.get_fignums()[-2:])
    assert all(len(line.get_xdata()) > 100 for axis in curves.axes for line in axis.lines)
    assert all(axis.lines for axis in curves.axes)
    assert all(len(line.get_xdata()) >= 4 for line in depths.axes[0].lines)
    plt.close("all")
