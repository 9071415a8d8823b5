"""Learning rates and evaluation points iteration by iteration, as the papers give them."""

from collections.abc import Callable

import pytest

from training.recipe.schedules import learning_rate, next_evaluation, total_iterations
from training.settings.settings import Settings

IMAGES = 50_000
RESNET20 = "experiment=he2015_residual/table6/resnet20"


@pytest.mark.parametrize(
    ("iteration", "expected"),
    [(0, 0.1), (31_999, 0.1), (32_000, 0.01), (47_999, 0.01), (48_000, 0.001), (63_999, 0.001)],
)
def test_he2015_divides_by_10_at_32k_and_48k(
    iteration: int, expected: float, settings_of: Callable[..., Settings]
) -> None:
    recipe = settings_of(RESNET20).recipe
    assert learning_rate(recipe, IMAGES, iteration) == pytest.approx(expected)


@pytest.mark.parametrize(("iteration", "expected"), [(0, 0.01), (399, 0.01), (400, 0.1)])
def test_resnet110_warms_up_for_400_iterations(
    iteration: int, expected: float, settings_of: Callable[..., Settings]
) -> None:
    recipe = settings_of("experiment=he2015_residual/table6/resnet110").recipe
    assert learning_rate(recipe, IMAGES, iteration) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("epoch", "expected"), [(0, 0.1), (79, 0.1), (80, 0.01), (120, 0.01), (121, 0.001)]
)
def test_fair_divides_by_10_after_80_and_121_epochs(
    epoch: int, expected: float, settings_of: Callable[..., Settings]
) -> None:
    recipe = settings_of(RESNET20, "recipe=fair").recipe
    for step in (0, 390):  # first and last of the 391 batches of an epoch
        assert learning_rate(recipe, IMAGES, 391 * epoch + step) == pytest.approx(expected)


def test_length_of_the_recipes(settings_of: Callable[..., Settings]) -> None:
    assert total_iterations(settings_of(RESNET20).recipe, IMAGES) == 64_000
    assert total_iterations(settings_of(RESNET20, "recipe=fair").recipe, IMAGES) == 164 * 391


@pytest.mark.parametrize(("recipe", "images", "last"), [("he2015", 50_000, 64_000),
                                                        ("fair", 50_000, 164 * 391),
                                                        ("he2015", 1_500, 400)])  # fmt: skip
def test_evaluation_follows_every_epoch_and_the_last_iteration(
    recipe: str, images: int, last: int, settings_of: Callable[..., Settings]
) -> None:
    rule = settings_of(RESNET20, f"recipe={recipe}").recipe
    points = []
    while not points or points[-1] < last:
        points.append(next_evaluation(rule, images, points[-1] if points else 0, last))
    samples, expected = 0, []
    for iteration in range(1, last + 1):
        left = images - samples % images
        before = samples // images
        samples += min(128, left) if recipe == "fair" else 128
        if samples // images > before or iteration == last:
            expected.append(iteration)
    assert points == expected
