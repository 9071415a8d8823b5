"""Augmentation pixel by pixel against one image at a time, and its frequencies."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare

from data.arrays.augment import (
    FLIP,
    INDEX,
    LEFT,
    TOP,
    crop_and_flip,
    draw_epoch,
    normalise,
    statistics,
)
from data.arrays.batches import Batches

PAD = 4


def one_by_one(
    image: np.ndarray, top: int, left: int, flip: int, mean: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """He et al. 2015, Section 4.2, for one image: subtract, pad with zeros, crop, mirror."""
    height, width, _ = image.shape
    prepared = (image.astype(np.float32) - mean) * scale
    padded = np.pad(prepared, ((PAD, PAD), (PAD, PAD), (0, 0)))
    crop = padded[top : top + height, left : left + width]
    return (crop[:, ::-1] if flip else crop).transpose(2, 0, 1)


@pytest.mark.parametrize("mean_of", ["pixel", "channel"])
@pytest.mark.parametrize("size", [(8, 8), (6, 9)])
def test_every_offset_and_flip_equals_the_reference(size: tuple[int, int], mean_of: str) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, *size, 3), dtype=np.uint8)
    mean = rng.uniform(0, 255, (*size, 3) if mean_of == "pixel" else 3).astype(np.float32)
    scale = rng.uniform(0.5, 2, 3).astype(np.float32)
    plan = [(rng.integers(5), top, left, flip)
            for top in range(9) for left in range(9) for flip in range(2)]  # fmt: skip
    batch = crop_and_flip(
        torch.from_numpy(images),
        torch.tensor(np.array(plan)),
        pad=PAD,
        mean=torch.from_numpy(mean),
        scale=torch.from_numpy(scale),
    )
    assert batch.shape == (162, 3, *size)
    for ours, (index, top, left, flip) in zip(batch.numpy(), plan, strict=True):
        np.testing.assert_array_equal(ours, one_by_one(images[index], top, left, flip, mean, scale))


def test_a_reflecting_border_is_that_of_torch() -> None:
    images = torch.randint(0, 256, (3, 7, 6, 3), dtype=torch.uint8)
    mean, scale = torch.rand(7, 6, 3) * 255, torch.rand(3)
    prepared = ((images - mean) * scale).permute(0, 3, 1, 2)
    padded = F.pad(prepared, (PAD, PAD, PAD, PAD), mode="reflect")
    offsets = [(i, top, left, 0) for i in range(3) for top in range(9) for left in range(9)]
    batch = crop_and_flip(
        images, torch.tensor(offsets), pad=PAD, mean=mean, scale=scale, border="reflect"
    )
    for ours, (index, top, left, _) in zip(batch, offsets, strict=True):
        assert torch.equal(ours, padded[index, :, top : top + 7, left : left + 6])


def test_a_batch_is_laid_out_channels_last() -> None:
    images = torch.zeros(2, 8, 8, 3, dtype=torch.uint8)
    plan = torch.zeros(2, 4, dtype=torch.int64)
    batch = crop_and_flip(images, plan, pad=0, mean=torch.zeros(3), scale=torch.ones(()))
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_order_offsets_and_flips_are_uniform_and_independent() -> None:
    epochs = [draw_epoch(2_000, seed=3, epoch=e, pad=PAD, flip=True) for e in range(100)]
    plan = torch.stack(epochs).numpy()
    assert all(np.array_equal(np.sort(epoch[:, INDEX]), np.arange(2_000)) for epoch in plan)
    crops = (plan[..., TOP] * 9 + plan[..., LEFT]) * 2 + plan[..., FLIP]
    assert chisquare(np.bincount(crops.ravel(), minlength=162)).pvalue > 1e-3
    # Each place of the epoch sees each tenth of the images equally often, with any crop.
    first = plan[:, :200, INDEX] // 200
    assert chisquare(np.bincount(first.ravel(), minlength=10)).pvalue > 1e-3
    assert abs(np.corrcoef(plan[..., INDEX].ravel(), crops.ravel())[0, 1]) < 0.01


def test_an_epoch_depends_on_seed_and_epoch_only() -> None:
    def draw(seed: int, epoch: int) -> torch.Tensor:
        return draw_epoch(500, seed=seed, epoch=epoch, pad=PAD, flip=True)

    torch.manual_seed(1)
    first = draw(0, 0)
    torch.manual_seed(2)
    assert torch.equal(first, draw(0, 0))
    assert not torch.equal(draw(0, 1), first)
    assert not torch.equal(draw(1, 0), draw(0, 1))


def test_without_augmentation_nothing_moves() -> None:
    plan = draw_epoch(100, seed=0, epoch=0, pad=0, flip=False)
    assert not plan[:, TOP:].any()
    images = torch.randint(0, 256, (100, 8, 8, 3), dtype=torch.uint8)
    mean, scale = torch.rand(8, 8, 3), torch.ones(())
    batch = crop_and_flip(images, plan, pad=0, mean=mean, scale=scale)
    assert torch.equal(batch, normalise(images[plan[:, INDEX]], mean=mean, scale=scale))


def batches(images: int, batch: int, wrap: bool, an_epoch: int | None = None) -> Batches:
    return Batches(
        torch.zeros(images, 1, 1, 3, dtype=torch.uint8),
        torch.arange(images),
        mean=torch.zeros(3),
        scale=torch.ones(()),
        batch=batch,
        wrap=wrap,
        pad=0,
        flip=False,
        seed=0,
        an_epoch=an_epoch,
    )


@pytest.mark.parametrize("wrap", [True, False])
def test_every_image_is_seen_once_an_epoch(wrap: bool) -> None:
    source = batches(10, 4, wrap)
    seen: list[int] = []
    sizes = []
    for iteration in range(15):
        source.begin(iteration, iteration + 1)
        labels = source.next(source.size(iteration))[1]
        seen += labels.tolist()
        sizes.append(len(labels))
    for epoch in range(len(seen) // 10):
        assert sorted(seen[10 * epoch : 10 * epoch + 10]) == list(range(10))
    # Caffe runs on across the end of an epoch; Torch cuts its last batch.
    assert sizes == ([4] * 15 if wrap else [4, 4, 2] * 5)


def test_an_epoch_of_whole_batches_leaves_out_others_each_time() -> None:
    source, left_out = batches(10, 4, False, an_epoch=8), set()
    for epoch in range(12):
        source.begin(2 * epoch, 2 * epoch + 2)
        labels = torch.cat([source.next(source.size(2 * epoch + k))[1] for k in (0, 1)]).tolist()
        assert len(set(labels)) == 8
        left_out |= set(range(10)) - set(labels)
    assert len(left_out) > 6


@pytest.mark.parametrize("wrap", [True, False])
def test_a_segment_gives_the_same_batches_wherever_it_starts(wrap: bool) -> None:
    source = batches(10, 4, wrap)
    source.begin(0, 3)
    whole = [source.next(source.size(i))[1].tolist() for i in range(3)]
    again = batches(10, 4, wrap)
    again.begin(1, 3)
    assert [again.next(again.size(i))[1].tolist() for i in (1, 2)] == whole[1:]


@pytest.mark.parametrize(
    ("mean", "std"),
    [("pixel", "none"), ("channel", "channel"), ("pixel", "global"), ("none", "255")],
)
def test_statistics_are_those_of_each_paper(mean: str, std: str) -> None:
    """He et al. 2015; fb.resnet.torch; Huang et al. 2016; Huang et al. 2017 on SVHN."""
    images = np.random.default_rng(0).integers(0, 256, (50, 6, 6, 3), dtype=np.uint8)
    images[..., 0] //= 2  # channels that differ
    whole = images.astype(np.float64)
    means = {"pixel": whole.mean(0), "channel": whole.mean((0, 1, 2)), "none": np.zeros(3)}
    deviations = {
        "none": 1.0, "channel": whole.std((0, 1, 2)), "global": whole.std(), "255": 255.0,
    }  # fmt: skip
    found, scale = statistics(images, mean, std)
    np.testing.assert_allclose(found.numpy(), means[mean], rtol=1e-6)
    np.testing.assert_allclose(scale.numpy(), 1 / np.asarray(deviations[std]), rtol=1e-6)


@pytest.mark.parametrize("std", ["channel", "global"])
def test_a_constant_channel_takes_no_part(std: str) -> None:
    """As where two channels were filled up with a third: nothing may become infinite."""
    images = np.random.default_rng(0).integers(0, 256, (50, 6, 6, 3), dtype=np.uint8)
    images[..., 2] = 7
    for x in (images, np.full_like(images, 7)):
        mean, scale = statistics(x, "channel", std)
        made = normalise(torch.from_numpy(x), mean=mean, scale=scale)
        assert made.isfinite().all() and not (std == "channel" and made[:, 2].any())
