"""Learning rates and evaluation points, as the papers give them."""

import csv
import math
from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from itertools import accumulate

import pytest
import torch
from torch.optim.lr_scheduler import LinearLR, LRScheduler, MultiStepLR

from data.arrays.imageset import ImageSet
from data.sets import training_images
from records.files import ROOT
from training.recipe.schedules import learning_rate, next_evaluation, scaled, total_iterations
from training.settings.recipe import Recipe
from training.settings.settings import Settings
from training.settings.types import ConfigError
from training.trainer import Trainer

IMAGES = 50_000
ROW = "he2015_residual/table6/resnet20"
RESNET20 = f"experiment={ROW}"


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


@pytest.mark.parametrize(("length", "last"), [(64_000, 2_000), (1_999, 1_999)])
def test_a_short_run_ends_early_by_the_schedule_of_the_whole(
    length: int, last: int, settings_of: Callable[..., Settings], digits: ImageSet
) -> None:
    settings = settings_of(RESNET20, "device=cpu", "data=digits", "preset=short")
    recipe = replace(settings.recipe, length=length, milestones=[1_000], lr=0.1)
    trainer = Trainer(replace(settings, recipe=recipe), digits, torch.device("cpu"))
    assert trainer.last == last
    rates = [trainer.learning_rate(iteration) for iteration in (999, 1_000, last - 1)]
    assert rates == pytest.approx([0.1, 0.01, 0.01])


INCEPTION = ("szegedy2015", "ioffe2015", "szegedy2016")


def tenth(value: int) -> int:
    """A tenth by decimal fractions, halves up."""
    return int((Decimal(value) / 10).quantize(Decimal(1), ROUND_HALF_UP))


def recipes_and_data() -> list[tuple[str, str]]:
    """Every recipe at each length, in iterations, at which some row is trained, by the shallowest
    such row; those of the Inception networks, which fall otherwise, are in test_configs.py."""
    with (ROOT / "results" / "rows.csv").open(encoding="utf-8", newline="") as file:
        lines = sorted(csv.DictReader(file), key=lambda line: int(line["depth"]))
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for line in lines:
        if line["dataset"] != "imagenet" or line["recipe"] not in INCEPTION:
            kind = line["recipe"], line["iterations"]
            found.setdefault(kind, (line["experiment"], line["dataset"]))
    return sorted(found.values())


WARM_UPS = (400, 10**6)  # within a sixteenth of most runs; of none


@pytest.mark.parametrize(("row", "data"), recipes_and_data())
def test_a_tenth_of_a_schedule_drops_where_pytorch_drops_a_tenth_of_its_milestones(
    row: str, data: str, settings_of: Callable[..., Settings]
) -> None:
    """Each recipe and length, by each warm-up: the learning rate at the first and the last
    iteration of every stretch in which it is constant."""
    settings = settings_of(f"experiment={row}", f"data={data}")
    scale = settings_of(RESNET20, "preset=tenth").preset.scale
    full, images = settings.recipe, training_images(settings.data.source) - settings.recipe.holdout
    per_epoch = math.ceil(images / full.batch)
    unit = 1 if full.unit == "iteration" else per_epoch
    recipes = {
        warmup: scaled(replace(full, warmup_iterations=warmup), scale, images)
        for warmup in WARM_UPS
    }
    length = tenth(full.length) * unit
    assert {total_iterations(recipe, images) for recipe in recipes.values()} == {length}
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=full.lr)
    milestones = [tenth(m) * unit for m in full.milestones]
    ends = [tenth(end) * unit for end in accumulate(phase.length for phase in full.phases)]
    if full.schedule == "linear":  # Maxout's: each epoch less than the one before
        over = tenth(full.lr_length)
        first = 1 - (1 - full.lr_factor) / over
        reference: LRScheduler = LinearLR(optimizer, first, full.lr_factor, over - 1)
        each = unit
    else:
        each = math.gcd(length, *milestones, *ends)
        reference = MultiStepLR(optimizer, [m // each for m in milestones], gamma=full.lr_factor)
    # The last phase of DSN and of Maxout on SVHN; its rate is constant.
    own = full.phases[-1].lr if full.phases else None
    last = ends[-2] if own else length
    optimizer.step()
    warm = {warmup: min(warmup, length // 16) for warmup in WARM_UPS}
    for begin in range(0, length, each):
        edges = {begin, begin + each - 1, *warm.values(), *(end - 1 for end in warm.values())}
        for iteration in sorted(edges & set(range(begin, begin + each))):
            scheduled = reference.get_last_lr()[0] if iteration < last else own
            for warmup, recipe in recipes.items():
                expected = full.warmup_lr if iteration < warm[warmup] else scheduled
                found = learning_rate(recipe, images, iteration)
                assert math.isclose(found, expected, rel_tol=1e-9), (warmup, iteration)
        reference.step()


def test_all_but_the_schedule_stays(settings_of: Callable[..., Settings]) -> None:
    full = settings_of("experiment=he2015_residual/table6/resnet110", "preset=tenth").recipe
    recipe = scaled(full, 0.1, IMAGES)
    assert (recipe.length, recipe.milestones) == (6_400, [3_200, 4_800])
    assert (recipe.warmup_iterations, recipe.patience) == (400, 1)
    schedule = {"length", "milestones", "patience", "warmup_iterations"}
    changed = {k for k in vars(full) if getattr(full, k) != getattr(recipe, k)}
    assert changed <= schedule and scaled(full, 1.0, IMAGES) == full


def test_what_falls_within_a_tenth_of_an_epoch_falls_in_one(
    settings_of: Callable[..., Settings],
) -> None:
    """Not over the whole run, as a length of 0 says."""
    recipe = settings_of(RESNET20, "recipe=fair").recipe
    recipe = replace(recipe, lr_length=4, auxiliary=0.5, auxiliary_end=0.0, auxiliary_length=1)
    found = scaled(recipe, 0.1, IMAGES)
    assert (found.lr_length, found.auxiliary_length, found.momentum_length) == (1, 1, 0)


def test_a_schedule_too_short_to_drop_twice_is_refused(
    settings_of: Callable[..., Settings],
) -> None:
    recipe: Recipe = settings_of(RESNET20, "recipe=fair").recipe
    with pytest.raises(ConfigError, match=r"scale=0\.004 leaves too little of 164 epochs"):
        scaled(recipe, 0.004, IMAGES)
