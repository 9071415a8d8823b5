"""A network layer by layer: what it sums to, and shapes that the papers print."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from experiments.papers.rows import facts
from records.files import ROOT
from tests.conftest import Ended
from training.counts.summary import layers
from training.settings.settings import Settings

ROWS = [
    ("he2015_residual/table6/resnet110", "cifar10_aug"),
    ("he2016_identity/table2/full_preact_164", "cifar10_aug"),
    ("huang2017_dense/table2/densenet_bc_100_12", "cifar10_aug"),
    ("he2015_residual/table3/resnet50", "imagenet"),
    ("huang2017_dense/table3/densenet121", "imagenet"),
]


@pytest.mark.parametrize(("row", "data"), ROWS)
def test_layers_sum_to_the_network(
    row: str, data: str, settings_of: Callable[..., Settings]
) -> None:
    counted, known = layers(settings_of(f"experiment={row}", f"data={data}")), facts(row, data)
    assert known and sum(line[3] for line in counted) == known.params
    assert sum(line[4] for line in counted) == known.macs
    assert sum(kind in ("Conv2d", "Linear") for _, kind, *_ in counted) >= known.depth


def test_the_maps_are_those_of_the_paper(settings_of: Callable[..., Settings]) -> None:
    """He et al. 2015, Section 4.2: maps of 32, 16 and 8 pixels with 16, 32 and 64 channels, in
    2n + 1, 2n and 2n layers; n = 9."""
    counted = layers(settings_of("experiment=he2015_residual/table6/resnet56"))
    shapes = [shape for _, kind, shape, *_ in counted if kind == "Conv2d"]
    assert list(dict.fromkeys(shapes)) == ["16x32x32", "32x16x16", "64x8x8"]
    assert [shapes.count(shape) for shape in dict.fromkeys(shapes)] == [19, 18, 18]


@pytest.mark.parametrize(
    "door",
    [
        "counts.summary",
        *(
            pytest.param(door, marks=pytest.mark.slow)
            for door in ("doctor", "counts.rows", "theory", "engines.check")
        ),
    ],
)
def test_every_command_says_how_it_is_used_and_does_nothing_else(door: str) -> None:
    command = [sys.executable, "-m", f"training.{door}", "--help"]
    said = subprocess.check_output(command, cwd=ROOT, text=True, timeout=100)
    assert said.startswith(f"usage: python -m training.{door} ")


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        pytest.param("resnet20", "", marks=pytest.mark.slow),
        ("resnet21", "Did you mean"),
        ("resnet20 model.depth=21", "nearest valid depth"),
    ],
)
def test_it_prints_or_says_what_is_wrong(
    words: str, wrong: str, command: Callable[..., Ended]
) -> None:
    arguments = f"experiment=he2015_residual/table6/{words}".split()
    ended = command("training/counts/summary.py", *arguments)
    assert ended.code == (2 if wrong else 0)
    if wrong:
        assert wrong in ended.err and len(ended.err.splitlines()) == 1
    else:
        assert "269,722" in ended.out
