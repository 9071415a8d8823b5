"""One update of each method by its own recipe, against plain autograd name by name."""

from collections.abc import Callable
from copy import deepcopy

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
