"""A run whose steps are replayed from a graph gives the bits of one whose steps are called."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from data.arrays.imageset import ImageSet
from data.photographs import photographs
from tests.conftest import save_tree
from tests.emulated import Emulated, Repeated
from training.engines import engine
from training.engines.drawn import GatedDepth
from training.engines.graph import Captured, Graphs
from training.recipe.optimizer import FlatOptimizer
from training.recipe.run_data import Images
from training.recipe.step import Hook, Step
from training.runs.summary import why_not_fastest
from training.settings.settings import Settings
from training.trainer import Trainer

CPU = torch.device("cpu")
STEPS = ["recipe.length=12", "recipe.milestones=[4,8]", "recipe.unit=iteration", "recipe.batch=16"]
EPOCHS = ["recipe.unit=epoch", "recipe.length=3", "recipe.milestones=[1,2]"]
NETWORKS = {
    "original": [],
    "plain": ["model.shortcut=none"],
    "full_preact": ["model.order=full_preact", "model.match=pool"],
    "bottleneck": ["model.unit=bottleneck", "model.depth=11", "model.match=project"],
    "gate": ["model.shortcut=exclusive_gate", "model.gate_bias=-2.0"],
    "dropout": ["model.shortcut=dropout"],
    "stochastic": ["model.depth=8", "model.survival=0.5"],
    "dense": ["experiment=huang2017_dense/table2/densenet_40_12", "model.depth=7",
              "model.growth=4"],
    "dense_dropout": ["experiment=huang2017_dense/table2/densenet_40_12", "model.depth=7",
                      "model.growth=4", "recipe.dropout=0.2"],
    "dense_bc": ["experiment=huang2017_dense/table2/densenet_bc_100_12", "model.depth=10",
                 "model.growth=4"],
    "fractal": ["experiment=larsson2017_fractalnet/table1/fractalnet_drop", "model.depth=7",
                "model.widths=[4,6,6]"],
}  # fmt: skip
RECIPES = {
    "he2015": [],
    "he2016": ["recipe=he2016", "recipe.warmup_iterations=3"],
    "fair": ["recipe=fair", *EPOCHS],
    "huang2016": ["recipe=huang2016", *EPOCHS, "recipe.holdout=10"],
    "huang2017": ["recipe=huang2017", *EPOCHS],
    "plateau": ["recipe.schedule=plateau", "recipe.patience=0", "recipe.milestones=[]",
                "recipe.lr=1e-9"],
    "statistics": ["recipe=fair", *EPOCHS, "recipe.statistics_batches=3"],
    "bf16": ["precision=bf16"],
    "phases": ["recipe.nesterov=false",
               "recipe.phases=[{length: 1, objective: squared_hinge, momentum: 0.5},{length: 2,"
               " lr: 0.01, fresh_momentum: true}]"],
    "momentum": ["recipe.nesterov=false", "recipe.momentum=0.5", "recipe.momentum_end=0.9",
                 "recipe.momentum_length=3", "recipe.schedule=linear", *EPOCHS],
    "rmsprop": ["recipe.rule=rmsprop", "recipe.nesterov=false", "recipe.lr=0.001",
                "recipe.epsilon=0.01", "recipe.step_momentum=0.5"],
}  # fmt: skip


@pytest.fixture
def digits(digits: ImageSet) -> ImageSet:
    """Few of them: three whole batches an epoch, and a part of one."""
    return replace(
        digits, train_images=digits.train_images[:50], train_labels=digits.train_labels[:50],
        test_images=digits.test_images[:20], test_labels=digits.test_labels[:20],
    )  # fmt: skip


History = list[tuple[float, ...]]


def trained(
    settings: Settings, images: Images, graphs: Graphs, resume_at: int | None = None
) -> tuple[History, Trainer]:
    """What a run measures, and its trainer at the end; at an iteration it is saved, and another
    process goes on."""
    trainer, history = Trainer(settings, images, CPU, graphs=graphs), list[tuple[float, ...]]()
    while trainer.iteration < trainer.last:
        end = trainer.begin_segment()
        while trainer.iteration < end:
            trainer.train_iteration()
            if trainer.iteration == resume_at:
                state, resume_at = deepcopy(trainer.state()), None
                trainer = Trainer(settings, images, CPU, graphs=graphs)
                trainer.load(state)
                break
        else:
            lr = trainer.learning_rate(trainer.iteration - 1)
            tested = [number for split in trainer.splits for number in trainer.evaluate(split)]
            history.append((lr, *trainer.end_segment(), trainer.gradient(), *tested))
            trainer.model.train()
    return history, trainer


def alike(one: tuple[History, Trainer], other: tuple[History, Trainer]) -> bool:
    """Whether two runs measured the same numbers and ended with the same bits."""
    first, second = one[1].state(), other[1].state()
    same = all(
        torch.equal(value, second[kind][name])
        for kind in ("model", "momentum", "velocity")
        for name, value in first.get(kind, {}).items()
    )
    return same and one[0] == other[0]


def check(settings: Settings, images: Images, resume_at: int | None = 5) -> Trainer:
    """Compare a run that is replayed, and resumed in between, with one that is called."""
    emulated = Emulated()
    found = trained(settings, images, emulated, resume_at)
    for step in (found[1].step, *found[1].evaluate_batch.values()):
        assert isinstance(step, Captured) and not step.fault and step.launches
    assert emulated.replayed > 5
    assert alike(found, trained(settings, images, Repeated()))
    return found[1]


@pytest.mark.parametrize("network", NETWORKS)
def test_every_kind_of_network(
    network: str, tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    trainer = check(tiny(*NETWORKS[network], "preset=smoke", *STEPS), digits)
    gated = any(isinstance(module, GatedDepth) for module in trainer.model.modules())
    assert gated == (network == "stochastic")
    assert isinstance(trainer.step, Captured)
    assert set(trainer.step.launches) <= {16, 50 % 16}


# Of the second network only what its dropout may change; bfloat16 takes a CPU longest.
QUICK = [("stochastic", recipe) for recipe in RECIPES if recipe != "bf16"]
QUICK += [("dense_dropout", recipe) for recipe in ("he2015", "phases", "statistics", "bf16")]
CASES = [
    case if case in QUICK else pytest.param(*case, marks=pytest.mark.slow)
    for case in product(("stochastic", "dense_dropout"), RECIPES)
]


@pytest.mark.parametrize(("network", "recipe"), CASES)
def test_every_recipe(
    network: str, recipe: str, tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    changes = [*NETWORKS[network], "preset=smoke", *STEPS, *RECIPES[recipe]]
    trainer = check(tiny(*changes), digits)
    assert isinstance(trainer.step, Captured)
    if recipe in ("fair", "huang2016", "huang2017", "statistics"):
        assert len(trainer.step.launches) == 2, "a graph each for whole and last batches"


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="in Triton's interpreter")
@pytest.mark.parametrize("network", ["original", "full_preact", "stochastic", "dense_bc"])
def test_fused_steps(
    network: str,
    tiny: Callable[..., Settings],
    digits: ImageSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their kernels are launched by Triton's interpreter."""
    pytest.importorskip("triton")
    monkeypatch.setattr(engine, "choose_engine", lambda *_, **__: ("fused", None))
    changes = ["recipe.length=6", "recipe.milestones=[2,4]"]
    few = replace(
        digits, train_images=digits.train_images[:40], train_labels=digits.train_labels[:40],
        test_images=digits.test_images[:9], test_labels=digits.test_labels[:9],
    )  # fmt: skip
    check(tiny(*NETWORKS[network], "preset=smoke", *STEPS, *changes), few, resume_at=4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pca", "jitter"])
def test_photographs(kind: str, settings_of: Callable[..., Settings], tmp_path: Path) -> None:
    def picture(label: int, number: int) -> Image.Image:
        return Image.new("RGB", (40 + number, 36), (20 * number, 120 * label, 90))

    save_tree(tmp_path / "made", picture, 7)
    settings = settings_of(
        "experiment=he2015_residual/table3/resnet50", "model.unit=basic", "model.depth=18",
        "preset=imagenette", "data.name=made", "data.source=made", "data.classes=2",
        "data.size=64", "recipe.batch=4", "recipe.length=3", "recipe.milestones=[2]",
        f"recipe.colour={kind}", "device=cpu", "workers=0",
    )  # fmt: skip
    check(settings, photographs.read("made", tmp_path), resume_at=3)


def test_a_frozen_rate_and_a_renewed_tensor_would_show(
    tiny: Callable[..., Settings], digits: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two mistakes that a graph makes of a step that is right when it is called."""
    settings = tiny(*STEPS)
    expected = trained(settings, digits, Repeated())
    make = FlatOptimizer.__init__

    def with_plain_rate(self: FlatOptimizer, *given: Any, captured: bool, **more: Any) -> None:
        make(self, *given, captured=False, **more)

    monkeypatch.setattr(FlatOptimizer, "__init__", with_plain_rate)
    assert not alike(trained(settings, digits, Emulated()), expected)
    monkeypatch.undo()
    update = FlatOptimizer.update

    def with_new_weights(self: FlatOptimizer, combine: Any = None) -> None:
        update(self, combine)
        weight = self.model.classifier.weight
        weight.data = weight.data.clone()

    monkeypatch.setattr(FlatOptimizer, "update", with_new_weights)
    assert not alike(trained(settings, digits, Emulated()), expected)


def test_what_makes_the_host_wait_is_no_graph(
    tiny: Callable[..., Settings], digits: ImageSet, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = Trainer(tiny(*STEPS), digits, CPU, graphs=Emulated())
    assert isinstance(trainer.step, Captured) and isinstance(trainer.step.step, Step)

    class Waits(Hook):
        def before_forward(self) -> None:
            float(trainer.metrics.sums[0])

    trainer.step.step.hooks = [Waits()]
    trainer.begin_segment()
    trainer.train_iteration()
    assert "makes the host wait" in str(trainer.step.fault) and not trainer.step.launches
    assert "makes the host wait" in capsys.readouterr().err
    assert "makes the host wait" in str(why_not_fastest(trainer))
