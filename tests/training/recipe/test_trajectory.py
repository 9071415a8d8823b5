"""The first 200 training losses against a plain PyTorch loop that shares no code with ours."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from data.arrays.augment import draw_epoch
from data.arrays.imageset import ImageSet
from training.settings.settings import Settings
from training.trainer import Trainer

ITERATIONS = 200
PAD = 4
BATCH = 32
# Drops and a warm-up inside the 200 iterations; 1,500 images make 47 batches an epoch.
CHANGES = {
    "he2015": ["recipe.length=400", "recipe.milestones=[100,150]", "recipe.warmup_iterations=10"],
    "fair": ["recipe.unit=epoch", "recipe.length=20", "recipe.milestones=[1,3]"],
    "zagoruyko2016": ["recipe.unit=epoch", "recipe.length=20", "recipe.milestones=[1,3]"],
}
DECAY = {"he2015": (1e-4, 0.0), "fair": (1e-4, 1e-4), "zagoruyko2016": (5e-4, 5e-4)}


def plain_lr(recipe: str, iteration: int) -> float:
    if recipe == "he2015":
        if iteration < 10:
            return 0.01
        return 0.1 if iteration < 100 else 0.01 if iteration < 150 else 0.001
    epoch = iteration // (47 if recipe == "fair" else 46)  # whole batches only
    if recipe == "zagoruyko2016":
        return 0.1 * 0.2 ** ((epoch >= 1) + (epoch >= 3))
    return 0.1 if epoch < 1 else 0.01 if epoch < 3 else 0.001


def plain_batches(images: ImageSet, recipe: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches made image by image from the order, crops and flips of `draw_epoch`."""
    pixels = images.train_images.astype(np.float64)
    if recipe == "he2015":
        mean, std = pixels.mean(0), np.ones(3)
    else:
        mean, std = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))
    mean, scale = mean.astype(np.float32), (1 / std).astype(np.float32)
    pending: list[tuple[np.ndarray, int]] = []
    for epoch in range(ITERATIONS):
        plan = draw_epoch(len(pixels), seed=7, epoch=epoch, pad=PAD, flip=True)
        for index, top, left, flip in plan.tolist():
            image = (images.train_images[index].astype(np.float32) - mean) * scale
            mode: Any = "reflect" if recipe == "zagoruyko2016" else "constant"
            image = np.pad(image, ((PAD, PAD), (PAD, PAD), (0, 0)), mode)
            image = image[top : top + 16, left : left + 16]
            pending.append((image[:, ::-1] if flip else image, images.train_labels[index]))
            if len(pending) == BATCH:
                yield collate(pending)
                pending = []
        if recipe == "fair" and pending:
            yield collate(pending)
        if recipe != "he2015":
            pending = []


def collate(samples: list[tuple[np.ndarray, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    batch = torch.from_numpy(np.stack([image for image, _ in samples])).permute(0, 3, 1, 2)
    return batch, torch.tensor([label for _, label in samples])


def plain_losses(model: torch.nn.Module, images: ImageSet, recipe: str) -> list[float]:
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    decays = zip((weights, others), DECAY[recipe], strict=True)
    optimizer = torch.optim.SGD(
        [{"params": params, "weight_decay": decay} for params, decay in decays],
        lr=0.1,
        momentum=0.9,
        nesterov=recipe != "he2015",
    )
    model.train()
    losses = []
    batches = plain_batches(images, recipe)
    for iteration in range(ITERATIONS):
        x, y = next(batches)
        lr = plain_lr(recipe, iteration)
        if recipe == "zagoruyko2016" and lr != plain_lr(recipe, max(iteration - 1, 0)):
            optimizer.state.clear()  # its code makes a new one
        for group in optimizer.param_groups:
            group["lr"] = lr
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(
    "recipe",
    ["he2015", *(pytest.param(name, marks=pytest.mark.slow) for name in ("fair", "zagoruyko2016"))],
)
def test_first_200_losses_equal_those_of_a_plain_loop(
    recipe: str, tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    settings = tiny(
        f"recipe={recipe}",
        "seed=7",
        f"data.pad={PAD}",
        "data.flip=true",
        f"recipe.batch={BATCH}",
        *CHANGES[recipe],
    )
    trainer = Trainer(settings, digits, torch.device("cpu"))
    reference = deepcopy(trainer.model)
    losses = []
    while trainer.iteration < ITERATIONS:
        end = min(trainer.begin_segment(), ITERATIONS)
        while trainer.iteration < end:
            trainer.train_iteration()
            losses.append(trainer.metrics.take()[0])
    np.testing.assert_array_equal(losses, plain_losses(reference, digits, recipe))
    assert losses[-1] < losses[0] / 2, "it learned nothing, so the comparison shows nothing"
