"""The engines against each other on a real GPU; the kernels' own tests run there as well."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.arrays.imageset import ImageSet
from data.photographs import photographs
from models.resnet import ResNet
from records.files import ROOT
from tests.conftest import save_tree
from training.engines.drawn import GatedDepth
from training.engines.engine import choose_engine
from training.engines.graph import Captured
from training.process.device import has_bf16
from training.recipe.run_data import Images
from training.settings.settings import Settings
from training.trainer import Trainer

pytest.importorskip("triton", reason="no Triton")
from training.engines.kernels.conv_layer import Conv, has_kernels

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU"),
]


def trained(settings: Settings, images: Images) -> tuple[list[float], Trainer]:
    """The loss of every step, and the trainer after the last."""
    trainer = Trainer(settings, images, torch.device("cuda"))
    losses = train(trainer)
    if isinstance(trainer.step, Captured):
        assert not trainer.step.fault, "the step could not be captured"
    return losses, trainer


def train(trainer: Trainer) -> list[float]:
    losses = []
    while trainer.iteration < trainer.last:
        end = trainer.begin_segment()
        while trainer.iteration < end:
            trainer.train_iteration()
            losses.append(trainer.metrics.take()[0])
    return losses


def skip_without_bf16(precision: str) -> None:
    if precision == "bf16" and not has_bf16():
        pytest.skip("this GPU has no bfloat16")


KINDS = [
    ["recipe=he2015"],
    ["recipe=fair"],
    ["model.shortcut=dropout"],
    ["model.shortcut=exclusive_gate", "model.gate_bias=-2.0"],
    ["model.unit=bottleneck", "model.depth=11", "model.match=project", "model.order=full_preact"],
    ["experiment=huang2017_dense/table2/densenet_40_12", "model.depth=10"],
    ["experiment=huang2017_dense/table2/densenet_bc_100_12", "model.depth=16"],
]
PLAN = [
    "precision=fp32", "data.pad=2", "data.flip=true",
    "recipe.length=60", "recipe.milestones=[20,40]", "recipe.wrap=false",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
def test_captured_and_eager_steps_are_bit_equal_in_fp32(
    kind: list[str], tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    eager, one = trained(tiny(*PLAN, *kind, "engine=eager"), digits)
    captured, other = trained(tiny(*PLAN, *kind, "engine=captured"), digits)
    assert captured == eager
    assert isinstance(other.step, Captured) and set(other.step.launches) == {64, 1500 % 64}
    expected = one.weights()
    for name, tensor in other.weights().items():
        assert torch.equal(tensor, expected[name]), name
    assert other.evaluate("test") == one.evaluate("test")
    assert other.evaluate("test") == one.evaluate("test"), "replayed, not only captured"


def test_a_step_that_waits_for_the_gpu_runs_eagerly(
    tiny: Callable[..., Settings], digits: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout draws outside of the capture that failed, and evaluation is captured after it."""
    forward = ResNet.forward

    def waiting(self: ResNet, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = forward(self, x)
        if self.training and x.is_cuda:
            logits.sum().item()
        return logits

    monkeypatch.setattr(ResNet, "forward", waiting)
    words = [*PLAN, "model.shortcut=dropout"]
    eager, one = trained(tiny(*words, "engine=eager"), digits)
    other = Trainer(tiny(*words, "engine=captured"), digits, torch.device("cuda"))
    assert train(other) == eager
    assert isinstance(other.step, Captured) and "captur" in str(other.step.fault)
    assert other.evaluate("test") == one.evaluate("test")
    evaluation = other.evaluate_batch["test"]
    assert isinstance(evaluation, Captured) and evaluation.launches and not evaluation.fault


# Steps that change within a run: their objective, or the weight of a part of it.
CHANGING = [
    ["experiment=he2015_residual/table6/resnet20", "model.depth=8", "recipe.nesterov=false",
     "recipe.phases=[{length: 2, objective: squared_hinge},"
     "{length: 58, lr: 0.01, fresh_momentum: true}]"],
    ["experiment=lee2015_dsn/table2/dsn", "recipe.phases=[]", "recipe.prepare=none",
     "recipe.std='255'", "recipe.auxiliary=1", "recipe.auxiliary_end=0",
     "recipe.auxiliary_length=40"],
]  # fmt: skip


@pytest.mark.parametrize("kind", CHANGING, ids=["phases", "auxiliary"])
def test_steps_that_change_are_captured_anew_or_read_what_changes(
    kind: list[str], settings_of: Callable[..., Settings], digits: ImageSet
) -> None:
    words = [
        *kind, "preset=smoke", "recipe.unit=iteration", "precision=fp32", "recipe.length=60",
        "recipe.milestones=[]", "recipe.batch=64",
    ]  # fmt: skip
    eager, one = trained(settings_of(*words, "engine=eager"), digits)
    captured, other = trained(settings_of(*words, "engine=captured"), digits)
    assert captured == eager and np.isfinite(eager).all()
    assert all(torch.equal(w, one.weights()[name]) for name, w in other.weights().items())


@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
def test_fused_steps_stay_near_eager_ones(
    kind: list[str], tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    """Other kernels round otherwise, and training amplifies it: the first steps show an error."""
    eager, plain = trained(tiny(*PLAN, *kind, "engine=eager"), digits)
    fused, trainer = trained(tiny(*PLAN, *kind, "engine=fused"), digits)
    if "dropout" not in kind[0]:  # draws other numbers
        assert fused[:5] == pytest.approx(eager[:5], rel=1e-3)
    assert sum(fused[-10:]) == pytest.approx(sum(eager[-10:]), rel=0.3, abs=0.5)
    assert trainer.evaluate("test")[1] < max(60, 1.1 * plain.evaluate("test")[1])


@pytest.mark.parametrize("kind", KINDS[-3:], ids=" ".join)
@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_our_convolutions_train_as_cudnns_do(
    precision: str, kind: list[str], tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    skip_without_bf16(precision)
    exact, _ = trained(tiny(*PLAN, *kind, "engine=captured"), digits)
    fused, trainer = trained(tiny(*PLAN[1:], *kind, f"precision={precision}"), digits)
    assert any(isinstance(module, Conv) for module in trainer.model.modules())
    if not has_kernels(torch.device("cuda")):
        pytest.skip("this GPU's convolutions are cuDNN's")
    assert fused[0] == pytest.approx(exact[0], rel=0.02)
    assert sum(fused[-10:]) == pytest.approx(sum(exact[-10:]), rel=0.5, abs=0.5)


@pytest.mark.parametrize("engine", ["captured", "fused"])
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_the_same_seed_gives_the_same_bits_twice(
    engine: str, precision: str, tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    skip_without_bf16(precision)
    settings = tiny(*PLAN[1:], f"precision={precision}", f"engine={engine}")
    first, one = trained(settings, digits)
    second, other = trained(settings, digits)
    assert first == second
    expected = one.weights()
    for name, tensor in other.weights().items():
        assert torch.equal(tensor, expected[name]), name


def test_the_default_engine_is_the_fused_one() -> None:
    assert choose_engine("auto", torch.device("cuda")) == ("fused", None)


def test_a_resumed_run_drops_its_learning_rate(
    tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    """Saved by a CPU or a GPU, the captured step reads the rate from its own tensor."""
    settings = tiny("precision=fp32", "recipe.length=60", "recipe.milestones=[20,40]")
    for device in ("cuda", "cpu"):
        saved = Trainer(settings, digits, torch.device(device))
        saved.begin_segment()
        for _ in range(19):
            saved.train_iteration()
        resumed = Trainer(settings, digits, torch.device("cuda"))
        resumed.load(deepcopy(saved.state()))
        resumed.begin_segment()
        moved = []
        for _ in range(2):  # the last step before the drop, and the first after it
            before = resumed.optimizer.master["classifier.bias"].clone()
            resumed.train_iteration()
            moved.append(float((resumed.optimizer.master["classifier.bias"] - before).norm()))
        assert moved[1] < 0.3 * moved[0]


@pytest.mark.parametrize("engine", ["captured", "fused"])
def test_gates_train_as_skipping_does(
    engine: str, tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    depth = ["model.depth=14", "model.survival=0.3", "model.survival_rule=uniform"]
    skipping, _ = trained(tiny(*PLAN, *depth, "engine=eager"), digits)
    gating, trainer = trained(tiny(*PLAN, *depth, f"engine={engine}"), digits)
    assert any(isinstance(module, GatedDepth) for module in trainer.model.modules())
    assert gating[:5] == pytest.approx(skipping[:5], rel=1e-3)


@pytest.mark.parametrize("engine", ["captured", "fused"])
def test_photographs_train_in_a_graph(
    engine: str, settings_of: Callable[..., Settings], tmp_path: Path
) -> None:
    save_tree(tmp_path / "made", noise, 9)
    overrides = [
        "experiment=he2015_residual/table3/resnet50", "preset=imagenette", "data.name=made",
        "data.source=made", "data.classes=2", "recipe.batch=4", "recipe.length=2",
        "recipe.milestones=[1]", "recipe.colour=jitter", "workers=2", "precision=fp32",
        "recipe.lr=1e-7",  # in batches of four an update magnifies rounding ten thousandfold
    ]  # fmt: skip
    images = photographs.read("made", tmp_path)
    eager, _ = trained(settings_of(*overrides, "engine=eager"), images)
    found, trainer = trained(settings_of(*overrides, f"engine={engine}"), images)
    assert isinstance(trainer.step, Captured) and len(trainer.step.launches) == 2
    assert found == pytest.approx(eager, rel=1e-3)


def noise(label: int, n: int) -> Image.Image:
    """A photograph with no even plane: a constant map is normalised to rounding errors."""
    pixels = np.random.default_rng([label, n]).integers(256, size=(70 + n, 80, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_the_one_command_trains_on_the_gpu(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "experiments.reproduce", "--preset=smoke", "--rows=resnet20"]
    places = {"OUTPUT_DIR": str(tmp_path / "outputs"), "RESULTS_DIR": str(tmp_path / "results")}
    ended = subprocess.run(command, cwd=ROOT, env=os.environ | places, check=False)
    assert ended.returncode == 0
    (path,) = (tmp_path / "outputs").rglob("summary.json")
    summary = json.loads(path.read_text(encoding="utf-8"))
    assert summary["device"] == torch.cuda.get_device_name(0) and summary["engine"] == "fused"


def test_bf16_stays_near_fp32(tiny: Callable[..., Settings], digits: ImageSet) -> None:
    skip_without_bf16("bf16")
    full = trained(tiny("precision=fp32"), digits)[0]
    half = trained(tiny("precision=bf16"), digits)[0]
    assert half[0] == pytest.approx(full[0], rel=0.02)
    assert sum(half[-10:]) == pytest.approx(sum(full[-10:]), rel=0.5, abs=0.5)
