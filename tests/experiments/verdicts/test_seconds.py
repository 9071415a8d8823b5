"""What a run took, where it was suspended now and then: the clock goes on, training does not."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.verdicts.loading import load
from experiments.verdicts.records import RunRecord
from records.files import ROOT
from records.names import METRICS
from tests.sealed import seal

RUN = ROOT / "results" / "runs" / "he2015_residual/table6/resnet20/cifar10_aug/seed0"


def record_of(folder: Path, paces: np.ndarray, pauses: np.ndarray) -> RunRecord:
    """A record of stretches of these seconds an iteration, and suspended for these seconds."""
    shutil.copytree(RUN, folder)
    frame = pd.read_csv(folder / METRICS).iloc[: len(paces)]
    steps = frame["iteration"].diff().fillna(frame["iteration"].iloc[0])
    frame["seconds"] = (steps * paces + pauses).cumsum()
    frame.to_csv(folder / METRICS, index=False)
    seal(folder, seconds=float(frame["seconds"].iloc[-1]))
    return load(folder)


@pytest.mark.parametrize("where", [[], [0], [40], [3, 4, 5], [0, 20, 99]])
@pytest.mark.parametrize("pause", [600.0, 100_000.0])
def test_time_in_which_a_run_was_suspended_does_not_count(
    where: list[int], pause: float, tmp_path: Path
) -> None:
    pauses = np.zeros(100)
    pauses[where] = pause
    record = record_of(tmp_path / "run", np.full(100, 0.05), pauses)
    assert record.seconds == pytest.approx(0.05 * record.metrics()["iteration"].iloc[-1])


def test_an_uneven_pace_counts_in_full(tmp_path: Path) -> None:
    """Stretches from half to twice the usual pace, as beside other runs."""
    paces = np.random.default_rng(0).uniform(0.05, 0.1, 100)
    paces[7] = 0.16
    record = record_of(tmp_path / "run", paces, np.zeros(100))
    assert record.seconds == record.summary["seconds"]


def test_a_slower_machine_is_no_suspension(tmp_path: Path) -> None:
    record = record_of(tmp_path / "run", np.r_[np.full(60, 0.05), np.full(40, 1.0)], np.zeros(100))
    assert (record.seconds or 0) < record.summary["seconds"] / 2
    seal(record.folder, device="NVIDIA H100 80GB HBM3, then AMD EPYC")
    assert load(record.folder).seconds == record.summary["seconds"]


def test_seconds_that_nobody_measured_stay_unknown() -> None:
    record = load(RUN)
    assert RunRecord(record.folder, record.summary | {"seconds": None}).seconds is None
