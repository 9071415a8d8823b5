"""What the tests share: settings from overrides, real data where it is at hand."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from data.arrays import ImageSet
from data.sets import load
from training.config import read_settings
from training.entry import CONF
from training.settings import Settings

torch.set_num_threads(1)  # tests run side by side

ROW = "he2015_residual/table6/resnet20"
# A run of a second or two: the smoke preset with a shallow network.
TINY = [
    f"experiment={ROW}",
    "preset=smoke",
    "threads=1",
    "model.depth=8",
    "recipe.length=30",
    "recipe.milestones=[12,18]",
]


@pytest.fixture(scope="session")
def settings_of() -> Callable[..., Settings]:
    """Settings as `train.py` would read them from these overrides."""

    def read(*overrides: str) -> Settings:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return read_settings(compose("config", overrides=list(overrides)))

    return read


@pytest.fixture
def tiny(settings_of: Callable[..., Settings], tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a run of a second or two that writes below `tmp_path`."""

    def read(*overrides: str) -> Settings:
        folders = [f"output_dir={tmp_path}/outputs", f"results_dir={tmp_path}/results"]
        return settings_of(*TINY, *folders, *overrides)

    return read


@pytest.fixture(scope="session")
def digits() -> ImageSet:
    return load("digits", Path())


def real(name: str) -> Path:
    """The folder of a real data set; skips the test where there is none."""
    folder = Path(os.environ.get("DATA_DIR", "datasets"))
    if not (folder / f"{name}.npz").exists():
        pytest.skip(f"no {name}.npz in {folder}; set DATA_DIR")
    return folder


@pytest.fixture(scope="session")
def cifar10() -> ImageSet:
    return load("cifar10", real("cifar10"))


@pytest.fixture(scope="session")
def cifar100_file() -> Path:
    return real("cifar100") / "cifar100.npz"
