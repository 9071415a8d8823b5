"""What weights show, against the definitions written out plainly."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from data.arrays.imageset import ImageSet
from experiments import reproduce
from experiments.verdicts.ask_eval import Answer
from experiments.verdicts.loading import load_all
from models.densenet import DenseNet
from models.resnet import ResNet
from records.files import ROOT
from training.settings.types import ConfigError
from training.weights.analysis import responses, reuse

GOLDEN_RUNS = ROOT / "tests" / "golden" / "runs"
ROW = "he2015_residual/table6/resnet20"
SMOKE = ["preset=smoke", "device=cpu", "threads=1", "recipe.length=30", "recipe.milestones=[10]"]


def test_responses_are_the_deviations_of_normalised_outputs(digits: ImageSet) -> None:
    torch.manual_seed(0)
    model = ResNet(14).eval()
    images, mean, scale = torch.from_numpy(digits.test_images), torch.tensor(30.0), torch.ones(())
    rows = responses(model, images, mean, scale)
    # A stem and six units of two layers.
    assert [row["layer"] for row in rows] == list(range(1, 14))
    x = (images.float() - 30).permute(0, 3, 1, 2)
    expected = []
    with torch.no_grad():
        x = model.stem[1](model.stem[0](x))
        expected.append(x.std(correction=0))
        x = x.relu()
        for stage in model.stages:
            for unit in stage:
                y = unit.branch.norm1(unit.branch.conv1(x))
                expected.append(y.std(correction=0))
                expected.append(unit.branch.norm2(unit.branch.conv2(y.relu())).std(correction=0))
                x = unit(x)
    assert [float(row["std"]) for row in rows] == pytest.approx(
        [float(value) for value in expected], rel=1e-3
    )


def test_networks_without_such_layers_are_refused() -> None:
    images = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    bare = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with pytest.raises(ConfigError, match="whose 3x3 layers end normalised"):
        responses(bare, images, images, images)
    with pytest.raises(ConfigError, match="needs a DenseNet"):
        reuse(ResNet(8))


@pytest.mark.parametrize("bottleneck", [False, True])
def test_reuse_is_the_weight_of_every_group_of_maps(bottleneck: bool) -> None:
    torch.manual_seed(0)
    layers, growth = 4, 6
    model = DenseNet(16 if not bottleneck else 28, growth, bottleneck=bottleneck)
    rows = {(r["block"], r["source"], r["target"]): float(r["weight"]) for r in reuse(model)}
    # Every layer reads the input and the layers before; the transition or classifier reads all.
    assert len(rows) == 3 * sum(range(1, layers + 2))
    with torch.no_grad():
        third = model.stages.block1.layers[2].first.conv1.weight
        # 16 maps of the block's input, then 6 of each layer.
        assert rows[1, 0, 3] == pytest.approx(float(third[:, :16].abs().sum() / 16), rel=1e-4)
        assert rows[1, 2, 3] == pytest.approx(float(third[:, 22:28].abs().sum() / 6), rel=1e-4)
        kept = model.stages.transition1.conv.conv1.weight
        assert rows[1, 4, 5] == pytest.approx(float(kept[:, 34:40].abs().sum() / 6), rel=1e-4)
        last = model.classifier.weight
        assert rows[3, 4, 5] == pytest.approx(float(last[:, -6:].abs().sum() / 6), rel=1e-4)


def test_the_command_writes_into_the_record(command: Callable, tmp_path: Path) -> None:
    assert command("train.py", f"experiment={ROW}", *SMOKE, "model.depth=8").code == 0
    (summary,) = tmp_path.rglob("summary.json")
    ended = command("eval.py", f"run='{summary.parent}'", "analysis=responses", "device=cpu")
    assert ended.code == 0, ended.err
    with (summary.parent / "responses.csv").open(newline="") as file:
        assert [row["layer"] for row in csv.DictReader(file)] == [str(k) for k in range(1, 8)]
    for analysis, message in (("reuse", "needs a DenseNet"), ("respones", "is unknown; choose")):
        ended = command("eval.py", f"run='{summary.parent}'", f"analysis={analysis}")
        assert ended.code == 2 and message in ended.err
    ended = command("eval.py", f"experiment={ROW}", "weights=x.pt", "analysis=reuse")
    assert ended.code == 2 and "own weights: run=<folder>" in ended.err


def test_a_figure_asks_for_the_analyses_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One a row, of the lowest seed that has weights; what cannot be had is named."""
    runs = tmp_path / "runs"
    for depth, seed in ((20, 0), (20, 1), (56, 0), (110, 0)):
        run = f"he2015_residual/table6/resnet{depth}/cifar10_aug/seed{seed}"
        shutil.copytree(GOLDEN_RUNS / run, runs / run)
    done = runs / "he2015_residual/table6/resnet56/cifar10_aug/seed0"
    (done / "responses.csv").write_text("layer,std\n1,0.5\n")
    asked = []

    def ask(folder: Path, option: str) -> Answer:
        run = folder.relative_to(runs).as_posix()
        asked.append((run, option))
        good = "resnet20" in run and run.endswith("seed1")
        return Answer() if good else Answer(reason="It has no weights.")

    monkeypatch.setattr(reproduce, "ask_eval", ask)
    reproduce.complete_figure("he2015_residual/fig7", load_all(runs))
    row = "he2015_residual/table6/resnet"
    assert asked == [
        (f"{row}20/cifar10_aug/seed0", "analysis=responses"),
        (f"{row}20/cifar10_aug/seed1", "analysis=responses"),
        (f"{row}110/cifar10_aug/seed0", "analysis=responses"),
    ]  # fmt: skip
    assert capsys.readouterr().out == f"{row}110: no responses.csv. It has no weights.\n"
