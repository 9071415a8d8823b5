"""Two updates of each method by its own recipe, against plain autograd name by name."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from data.order import derived_seed
from tests.training.recipe.test_twins import generated, narrowed, small
from training.settings.settings import Settings
from training.trainer import Trainer

# Rate and decay of weights, of biases, and of both of the last layer, as in the papers' codes.
RATES = {
    ("clevert2016_elu/table1/elu18", "cifar100_aug"): (
        (0.01, 5e-4), (0.01, 0), (0.01, 5e-4), (0.01, 0),
    ),
    ("larsson2017_fractalnet/table1/fractalnet", "cifar10"): (
        (0.02, 1e-4), (0.04, 0), (0.02, 1e-4), (0.04, 0),
    ),
    ("lin2014_nin/table1/nin", "cifar10"): ((0.1, 1e-4), (0.2, 0), (0.01, 1e-4), (0.02, 0)),
    ("lin2014_nin/table1/nin", "cifar100"): ((0.02, 5e-4), (0.04, 0), (0.02, 5e-4), (0.04, 0)),
    ("lin2014_nin/table1/nin_svhn", "svhn"): ((0.1, 1e-4), (0.2, 0), (0.01, 1e-4), (0.02, 0)),
    ("springenberg2015_allcnn/table4/allcnn_c", "cifar10_aug"): ((0.05, 1e-3),) * 4,
    ("srivastava2015_highway/table3/highway19", "cifar10_aug"): (
        (0.025, 1e-3), (0.05, 0), (0.025, 1e-2), (0.05, 0),
    ),
    ("zagoruyko2016_wide/table5/wrn_16_8_zca", "cifar100_aug"): ((0.1, 5e-4),) * 4,
}  # fmt: skip
NESTEROV = ("srivastava2015_highway", "zagoruyko2016_wide")


@pytest.mark.parametrize(("row", "data"), RATES)
def test_two_updates_are_those_of_the_papers_code(
    row: str, data: str, settings_of: Callable[..., Settings]
) -> None:
    settings = settings_of(f"experiment={row}", f"data={data}", "device=cpu", "seed=5")
    sizes = {"highway19": {"depth": 8}, "wrn_16_8_zca": {"depth": 10, "widen": 2},
             "fractalnet": {"depth": 7, "widths": [4, 6, 6]}}  # fmt: skip
    if row.endswith("elu18"):
        sizes["elu18"] = {"layers": narrowed(settings.model["layers"])}
    settings = small(settings, batch=8, size=12, **sizes.get(row.rpartition("/")[2], {}))
    trainer = Trainer(settings, generated(settings, 40, 12), torch.device("cpu"))
    plain, batches = deepcopy(trainer.model).train(), deepcopy(trainer.batches)
    trainer.begin_segment()
    batches.begin(0, 2)
    momentum = {name: torch.zeros_like(p) for name, p in plain.named_parameters()}
    last = list(momentum)[-1].rpartition(".")[0]
    for iteration in range(2):
        trainer.train_iteration()
        x, y = batches.next(8)
        torch.manual_seed(derived_seed(5, iteration))  # of what is dropped
        plain.zero_grad()
        F.cross_entropy(plain(x), y).backward()
        with torch.no_grad():
            for name, p in plain.named_parameters():
                kind = 2 * (name.rpartition(".")[0] == last) + (p.ndim == 1)
                lr, decay = RATES[row, data][kind]
                assert p.grad is not None and p.grad.any(), name
                gradient = p.grad + decay * p
                momentum[name] = 0.9 * momentum[name] + gradient
                nesterov = row.startswith(NESTEROV)
                p.sub_(lr * (gradient + 0.9 * momentum[name] if nesterov else momentum[name]))
        for name, p in plain.named_parameters():
            found = trainer.optimizer.master[name]
            torch.testing.assert_close(found, p.detach(), rtol=1e-5, atol=1e-6, msg=name)


DSN, MAXOUT = "lee2015_dsn/table2/dsn", "goodfellow2013_maxout/table3/maxout"


@pytest.mark.parametrize("data", ["cifar10_aug", "cifar100_aug", "svhn"])
def test_two_updates_of_deeply_supervised_nets(
    data: str, settings_of: Callable[..., Settings]
) -> None:
    settings = settings_of(f"experiment={DSN}", f"data={data}", "device=cpu", "seed=5")
    classes = settings.data.classes
    settings = small(settings, batch=8, size=8)
    trainer = Trainer(settings, generated(settings, 40, 8), torch.device("cpu"))
    plain, batches = deepcopy(trainer.model).train(), deepcopy(trainer.batches)
    trainer.begin_segment()
    batches.begin(0, 2)
    momentum = {name: torch.zeros_like(p) for name, p in plain.named_parameters()}
    for iteration in range(2):
        trainer.train_iteration()
        x, y = batches.next(8)
        torch.manual_seed(derived_seed(5, iteration))  # of what is dropped
        plain.zero_grad()
        outputs = plain(x)
        assert len(outputs) == 4
        signs = 2.0 * F.one_hot(y, classes) - 1
        for scores in outputs:
            if classes == 100 or data == "svhn":
                term = F.cross_entropy(scores, y)
            else:
                term = (1 - signs * scores).clamp(min=0).square().sum(1).mean()
            term.backward(retain_graph=True)
        with torch.no_grad():
            for name, p in plain.named_parameters():
                lr = 0.025 * (2 if p.ndim == 1 else 1)
                if name.startswith("heads"):
                    lr *= 0.001 * (1 + 1e-4 * iteration) ** -0.75
                elif "conv9" in name:
                    lr *= 0.1
                assert p.grad is not None and p.grad.any(), name
                momentum[name] = 0.9 * momentum[name] + p.grad + (5e-4 * p if p.ndim > 1 else 0)
                p.sub_(lr * momentum[name])
        for name, p in plain.named_parameters():
            found = trainer.optimizer.master[name]
            torch.testing.assert_close(found, p.detach(), rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize(("data", "end"), [("cifar10_aug", 0.65), ("cifar10", 0.6)])
def test_updates_of_maxout_in_its_first_two_epochs(
    data: str, end: float, settings_of: Callable[..., Settings]
) -> None:
    """Rate and momentum move from epoch to epoch, and no norm exceeds its limit."""
    settings = settings_of(f"experiment={MAXOUT}", f"data={data}", "device=cpu", "seed=5")
    settings = small(settings, batch=8, size=16)
    model = settings.model | {"hidden": 20, "layers": "8x9p4 m4 8x8p3 m4 5x8p3 m2"}
    norms = (0.04, 0.08, 0.08, 0.05, 0.03)  # so small that they matter at once
    recipe = replace(settings.recipe, max_norms=norms)
    settings = replace(settings, model=model, recipe=recipe)
    trainer = Trainer(settings, generated(settings, 16, 16), torch.device("cpu"))
    plain, batches = deepcopy(trainer.model).train(), deepcopy(trainer.batches)
    velocity = {name: torch.zeros_like(p) for name, p in plain.named_parameters()}
    limits = dict(zip([n for n, p in plain.named_parameters() if p.ndim > 1], norms, strict=True))
    for iteration in range(4):
        epoch = iteration // 2
        if iteration % 2 == 0:
            trainer.begin_segment()
            batches.begin(iteration, iteration + 2)
        trainer.train_iteration()
        x, y = batches.next(8)
        torch.manual_seed(derived_seed(5, iteration))
        plain.zero_grad()
        F.cross_entropy(plain(x), y).backward()
        rate = 0.17 - (epoch + 1) * (0.17 - 0.0017) / 500
        with torch.no_grad():
            for name, p in plain.named_parameters():
                assert p.grad is not None and p.grad.any(), name
                scale = 0.05 if name.startswith("layers") else 1
                velocity[name] = (0.5 + epoch / 249 * (end - 0.5)) * velocity[name] + p.grad
                p.sub_(rate * scale * velocity[name])
                if name in limits:
                    lengths = p.flatten(1).norm(dim=1).view(-1, *[1] * (p.ndim - 1))
                    p.mul_(limits[name] / lengths.clamp(min=limits[name]))
        for name, p in plain.named_parameters():
            found = trainer.optimizer.master[name]
            torch.testing.assert_close(found, p.detach(), rtol=1e-4, atol=1e-7, msg=name)
