"""What a run is given of a set, and configurations that do not fit it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from data.arrays.imageset import ImageSet
from training.recipe.run_data import load_run_data
from training.settings.settings import ConfigError, Settings

CPU = torch.device("cpu")


def test_what_is_held_out_is_evaluated_and_counts_for_nothing_else(
    tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    settings = tiny("recipe.holdout=100", "recipe.mean=pixel", "recipe.wrap=false")
    found = load_run_data(settings, digits, CPU)
    assert found.count == 1400 and {k: len(x) for k, (x, _) in found.splits.items()} == {
        "test": 297, "val": 100,
    }  # fmt: skip
    np.testing.assert_array_equal(found.splits["val"][0], digits.train_images[1400:])
    np.testing.assert_array_equal(found.splits["val"][1], digits.train_labels[1400:])
    np.testing.assert_allclose(found.mean, digits.train_images[:1400].mean(0), rtol=1e-5)
    found.batches.begin(0, 22)  # an epoch
    labels = torch.cat([found.batches.next(found.batches.size(k))[1] for k in range(22)])
    assert sorted(labels.tolist()) == sorted(digits.train_labels[:1400].tolist())


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("recipe", {"holdout": 1490}, "recipe.holdout=1490 leaves 10 of 1500 training images"),
        ("recipe", {"crop": "scale"}, "recipe.crop=scale is not for digits, which needs pad"),
        ("data", {"classes": 11}, "data.classes=11, but digits has 10"),
        ("data", {"size": 32}, "data.size=32, but digits has 16"),
    ],
)
def test_a_configuration_that_does_not_fit_the_set_is_refused(
    part: str,
    changes: dict[str, Any],
    message: str,
    tiny: Callable[..., Settings],
    digits: ImageSet,
) -> None:
    settings = tiny()
    changed = replace(settings, **{part: replace(getattr(settings, part), **changes)})
    with pytest.raises(ConfigError, match=message):
        load_run_data(changed, digits, CPU)
