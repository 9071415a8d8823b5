"""What of the benchmark is no timing: its cases, its table, its roofline and its figure."""

import re
from pathlib import Path

import pandas as pd
import pytest
import torch

from experiments import bench as drawing
from training.bench import report
from training.bench.cases import RESNET20, Case, cpu_cases, gpu_cases
from training.bench.cpu import Times, measure, paired_ratio
from training.bench.loops import conventional, ours, read
from training.bench.roofline import Kernel, Work, work_of

RESNET = {"_target_": "models.resnet.ResNet"}
CPU = torch.device("cpu")


# Convolutions, their outputs in MB (bfloat16), GFLOP a step; and what a step of the fused form
# moves (GB) and launches. The last two are another's count, from shapes of the same layers: they
# hold some small kernels that ours leaves out, and the other way round.
@pytest.mark.parametrize(
    ("depth", "convs", "megabytes", "gflop", "gigabytes", "kernels"),
    [(20, 19, 48, 31, 0.80, 141), (56, 55, 136, 96, 2.27, 395), (110, 109, 268, 194, 4.47, 776)],
)
def test_the_roofline_counts_every_layer(
    depth: int, convs: int, megabytes: int, gflop: int, gigabytes: float, kernels: int
) -> None:
    work = work_of(RESNET | {"depth": depth}, batch=128, pixels=32)
    assert work.convs == convs
    assert round(work.conv_bytes / 1e6) == megabytes
    assert round(sum(kernel.flops for kernel in work.kernels) / 1e9) == gflop
    assert work.bytes / 1e9 == pytest.approx(gigabytes, rel=0.1)
    assert len(work.kernels) == pytest.approx(kernels, rel=0.02)


def test_the_floor_is_the_longest_of_each_kernel() -> None:
    work = Work([Kernel(100.0), Kernel(0.0), Kernel(10.0, 900.0)])
    assert work.floor(bandwidth=10, node=2, flops=100) == pytest.approx(10 + 2 + 9)


def test_every_case_names_a_row_that_can_be_read() -> None:
    for case in [*cpu_cases(), *gpu_cases()]:
        assert read(case.row).recipe.batch in (64, 128)
    loops = [set(case.loops) for case in cpu_cases()]
    assert {"conventional", "eager", "compiled", "compiled_model"} <= loops[0]
    assert {"skipping", "constant_depth"} == loops[-1]


def test_a_row_tells_speed_and_paired_ratios() -> None:
    case = Case(RESNET20, {}, 3)
    times = {
        "conventional": Times(1.0, [0.2, 0.4, 0.2], memory=10**6),
        "eager": Times(0.5, [0.1, 0.1, 0.1]),
        "fused batch 256": Times(0.5, [0.05, 0.05, 0.1]),
    }
    rows = report.rows_of(case, times, batch=128, device=CPU)
    assert [row["images_per_second"] for row in rows] == [640.0, 1280.0, 5120.0]
    assert [row["to_conventional"] for row in rows] == [1.0, 2.0, 4.0]
    assert rows[2]["to_eager"] == 2.0 and rows[2]["batch"] == 256
    assert rows[0]["unit"] == "images/CPU-second" and rows[0]["megabytes"] == 1
    assert paired_ratio([1, 2, 3], [1, 1, 1]) == 2


def test_the_table_and_its_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    times = {"conventional": Times(1.0, [0.2]), "eager": Times(0.5, [0.1])}
    rows = report.rows_of(Case(RESNET20, {}, 1), times, batch=128, device=CPU)
    path = report.write(rows, CPU)
    assert re.fullmatch(r"[a-z0-9_]+\.csv", path.name)
    frame = pd.read_csv(path)
    assert list(frame["loop"]) == ["conventional", "eager"] and "commit" in frame
    assert "kernels" not in frame, "nothing is written of what was not measured"
    png, svg = drawing.draw(path)
    before = png.read_bytes(), svg.read_bytes()
    assert before[0].startswith(b"\x89PNG") and "resnet20" in before[1].decode()
    drawing.draw(path)
    assert (png.read_bytes(), svg.read_bytes()) == before


def small(kind: str) -> object:
    overrides = ["model.depth=8", "recipe.batch=16", "threads=1"]
    make = ours if kind == "ours" else conventional
    return make(RESNET20, "cpu", *overrides)


class Small:
    """A loop that another process can make."""

    def __init__(self, kind: str):
        self.kind = kind

    def __call__(self) -> object:
        return small(self.kind)


def test_loops_take_turns() -> None:
    times = measure({kind: Small(kind) for kind in ("usual", "ours")}, rounds=2)  # type: ignore[dict-item]
    for found in times.values():
        assert len(found.seconds) == 2 and min(found.seconds) > 0 and found.start > 0
