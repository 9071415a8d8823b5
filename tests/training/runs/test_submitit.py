"""A multirun with the submitit launcher: the same runs, each in a job; finished ones skipped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from records.files import ROOT

pytest.importorskip("submitit")

MULTIRUN = ["-m", "hydra/launcher=submitit_local", "experiment=he2015_residual/table6/resnet20",
            "seed=0,1", "preset=smoke", "model.depth=8", "recipe.length=5",
            "recipe.milestones=[]", "device=cpu", "threads=1"]  # fmt: skip


def sweep(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "train.py", *MULTIRUN],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OUTPUT_DIR": str(folder)},
    )


@pytest.mark.slow
def test_jobs_of_submitit_do_the_runs_once(tmp_path: Path) -> None:
    ended = sweep(tmp_path)
    assert ended.returncode == 0, ended.stderr
    summaries = sorted(tmp_path.rglob("summary.json"))
    assert [json.loads(path.read_text())["seed"] for path in summaries] == [0, 1]
    before = [path.stat().st_mtime_ns for path in summaries]
    assert sweep(tmp_path).returncode == 0
    assert [path.stat().st_mtime_ns for path in summaries] == before
    logs = "".join(path.read_text() for path in tmp_path.rglob("*_log.out"))
    assert logs.count("already finished") == 2
