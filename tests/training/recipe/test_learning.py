"""Networks without normalisation learn a few images by heart, if slowly: their gradients lead
somewhere, although an epoch of the whole set is needed before its loss says so."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from data.arrays.imageset import ImageSet
from training.settings.settings import Settings
from training.trainer import Trainer

IMAGES = 16
# Rate, steps, and what the loss has to fall below from ln 10 = 2.303, without dropout.
CASES = {
    "lin2014_nin/table1/nin": (0.02, 72, 2.25),
    "springenberg2015_allcnn/table4/allcnn_c": (0.01, 56, 2.0),
    "srivastava2015_highway/table3/highway19": (0.025, 56, 2.17),
    "goodfellow2013_maxout/table3/maxout": (0.05, 56, 2.25),
}


@pytest.mark.slow
@pytest.mark.parametrize("row", CASES)
def test_it_learns_sixteen_images(
    row: str, settings_of: Callable[..., Settings], cifar10: ImageSet
) -> None:
    lr, steps, below = CASES[row]
    settings = settings_of(f"experiment={row}", "data=cifar10", "device=cpu")
    recipe = replace(settings.recipe, lr=lr, prepare="gcn", batch=IMAGES, translate=0)
    plain = {name: 0.0 for name in ("drop_image", "drop") if name in settings.model}
    if "layers" in settings.model:  # ` d0.5` drops half of what is before it
        plain["layers"] = re.sub(r"\bd[\d.]+ ", "", settings.model["layers"])
    settings = replace(settings, recipe=recipe, model=settings.model | plain)
    few = replace(cifar10, train_images=cifar10.train_images[:IMAGES],
                  train_labels=cifar10.train_labels[:IMAGES])  # fmt: skip
    trainer = Trainer(settings, few, torch.device("cpu"))
    for _ in range(steps):
        trainer.begin_segment()
        trainer.train_iteration()
        loss, _ = trainer.end_segment()
    assert loss < below
