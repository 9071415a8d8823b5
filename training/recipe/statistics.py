"""Normalisation statistics recomputed after training, in place of moving averages.

The ImageNet models released by the authors of He et al. 2015 have statistics averaged over a
"sufficiently large training batch" (README of KaimingHe/deep-residual-networks).
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from data.order import TrainingBatches, derived_seed
from training.process.replicas import Replicas
from training.recipe.schedules import next_evaluation
from training.settings.settings import Settings


def averaged_statistics(
    settings: Settings,
    model: nn.Module,
    batches: TrainingBatches,
    first: int,
    replicas: Replicas | None = None,
) -> dict[str, Tensor]:
    """Average mean and variance of every normalisation over `recipe.statistics_batches` batches.

    Args:
        model: the trained plain network (without an engine's layers); its statistics are replaced.
        batches: training batches, augmented as in training.
        first: iteration, counted from 0, of the first batch.
        replicas: processes of the run; each averages over its share, then they average the results.

    Returns:
        The network's statistics by name.
    """
    device = batches.mean.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(derived_seed(settings.seed, first))  # for dropout
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            update_bn(_images(settings, batches, first), model)
    averages = {name: b for name, b in model.named_buffers() if b.is_floating_point()}
    if replicas is not None:
        for tensor in averages.values():
            replicas.add(tensor)
            tensor.div_(replicas.count)
    return averages


def _images(settings: Settings, batches: TrainingBatches, first: int) -> Iterator[Tensor]:
    """Yield the images (n, 3, H, W) of this process's share of each batch."""
    recipe, last = settings.recipe, first + settings.recipe.statistics_batches
    while first < last:
        end = next_evaluation(recipe, batches.count, first, last)
        batches.begin(first, end)
        for iteration in range(first, end):
            size = batches.size(iteration)
            batches.fetch(size)
            yield batches.next(size)[0]
        first = end
