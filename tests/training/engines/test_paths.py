"""What drop-path draws is the same whoever asks: the network by itself, or any engine."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from data.order import derived_seed
from models.fractalnet import DropPath, FractalNet
from tests.emulated import Emulated
from tests.training.recipe.test_twins import generated, small
from training.engines.drawn import GivenPaths, Paths
from training.settings.network import build_model
from training.settings.settings import Settings
from training.trainer import Trainer

ROW = "experiment=larsson2017_fractalnet/table1/fractalnet_drop"
CPU = torch.device("cpu")


@pytest.fixture
def settings(settings_of: Callable[..., Settings]) -> Settings:
    settings = settings_of(ROW, "device=cpu", "seed=5", "precision=fp32")
    return small(settings, batch=8, size=12, depth=13, widths=[4, 6, 6], dropout=0.0)


def test_every_engine_draws_what_the_network_by_itself_draws(settings: Settings) -> None:
    images = generated(settings, 64, 12)
    trainers = [Trainer(settings, images, CPU, graphs=g) for g in (None, Emulated())]
    plain = build_model(settings)
    assert isinstance(plain, FractalNet) and isinstance(plain.drop_path, DropPath)
    for trainer in trainers:
        assert isinstance(trainer.model.drop_path, GivenPaths)
        trainer.begin_segment()
    for iteration in range(6):
        torch.manual_seed(derived_seed(5, iteration))
        drawn = plain.train().drop_path()
        for trainer in trainers:
            torch.rand(3)  # somebody else draws
            trainer.train_iteration()
            assert torch.equal(trainer.model.drop_path.weights, drawn)
    one, other = (trainer.weights() for trainer in trainers)
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_the_step_is_that_of_the_network_by_itself(settings: Settings) -> None:
    """Weights after updates, statistics of dropped columns among them."""
    trainer = Trainer(settings, generated(settings, 64, 12), CPU)
    plain, batches = build_model(settings).train(), deepcopy(trainer.batches)
    recipe = settings.recipe
    groups = [
        {"params": [p], "lr": recipe.lr * (2 if p.ndim == 1 else 1),
         "weight_decay": 1e-4 if p.ndim > 1 else 0} for p in plain.parameters()
    ]  # fmt: skip
    sgd = torch.optim.SGD(groups, momentum=0.9)
    trainer.begin_segment()
    batches.begin(0, 4)
    for iteration in range(4):
        trainer.train_iteration()
        torch.manual_seed(derived_seed(5, iteration))
        images, labels = batches.next(8)
        sgd.zero_grad()
        F.cross_entropy(plain(images), labels).backward()
        sgd.step()
    found = trainer.weights()
    for name, value in plain.state_dict().items():
        if "tracked" not in name:
            torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_what_is_drawn_is_a_function_of_seed_and_iteration(settings: Settings) -> None:
    def rows(seed: int, first: int, last: int) -> torch.Tensor:
        paths = Paths(build_model(settings), seed=seed, longest=20)
        paths.begin(first, last)
        return paths.table[: last - first].clone()

    whole = rows(5, 0, 20)
    assert torch.equal(rows(5, 7, 12), whole[7:12])
    assert not torch.equal(rows(6, 0, 20), whole)
    assert len({row.numpy().tobytes() for row in whole}) > 10
