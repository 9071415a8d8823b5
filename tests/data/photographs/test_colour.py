"""Changes of colour in batches, against one image at a time."""

import numpy as np
import pytest
import torch

from data.photographs import colour


def one_by_one(images: np.ndarray, drawn: np.ndarray, kind: str) -> np.ndarray:
    """fb.resnet.torch, transforms.lua, on the scale 0 to 1, written out."""
    results = []
    for original, row in zip(images / 255, drawn, strict=True):
        image = original
        alpha, factors, order = row[:3], row[3:6], row[6:].astype(int)
        if kind == "jitter":
            for which in order:
                grey = (image @ np.array([0.299, 0.587, 0.114]))[..., None]
                target = [np.zeros_like(grey), np.full_like(grey, grey.mean()), grey][which]
                image = factors[which] * image + (1 - factors[which]) * target
        vectors = np.array(colour.COMPONENTS)
        shift = sum(vectors[:, i] * alpha[i] * colour.DEVIATIONS[i] for i in range(3))
        results.append((image + shift) * 255)
    return np.stack(results)


@pytest.mark.parametrize("kind", ["pca", "jitter"])
def test_a_batch_is_its_images_one_by_one(kind: str) -> None:
    images = torch.rand(20, 5, 7, 3) * 255
    drawn = colour.draw(20, seed=3)
    found = colour.Recolour(kind, images.device)(images, drawn)
    expected = one_by_one(images.double().numpy(), drawn.double().numpy(), kind)
    assert np.allclose(found, expected, atol=1e-2)
    assert torch.equal(colour.Recolour("none", images.device)(images, drawn), images)


def test_what_is_drawn_is_a_function_of_the_seed() -> None:
    assert torch.equal(colour.draw(8, seed=5), colour.draw(8, seed=5))
    assert not torch.equal(colour.draw(8, seed=5), colour.draw(8, seed=6))
    drawn = colour.draw(20_000, seed=0)
    assert drawn[:, :3].std() == pytest.approx(0.1, rel=0.02)
    assert 0.6 <= drawn[:, 3:6].min() < 0.601 and 1.399 < drawn[:, 3:6].max() <= 1.4
    orders, counts = drawn[:, 6:].unique(dim=0, return_counts=True)
    assert len(orders) == 6 and counts.min() > 3_000


def test_the_components_are_orthogonal_directions() -> None:
    vectors = torch.tensor(colour.COMPONENTS)
    assert torch.allclose(vectors.T @ vectors, torch.eye(3), atol=2e-3)
