"""Sums over batches against the same numbers of all images at once."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from training.recipe.metrics import Metrics

SIZES = [64, 64, 7]


def test_means_are_those_over_all_images_whatever_the_batches() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(sum(SIZES), 10), torch.randint(0, 10, (sum(SIZES),))
    metrics = Metrics(torch.device("cpu"))
    for x, y in zip(logits.split(SIZES), labels.split(SIZES), strict=True):
        metrics.add(F.cross_entropy(x, y), x, y)
    rows, right = logits.double().numpy(), labels.numpy()
    shares = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
    expected = -np.log(shares[np.arange(len(right)), right]).mean()
    wrong = 100 * np.mean(rows.argmax(1) != right)
    assert metrics.mean() == metrics.take() == pytest.approx((expected, wrong), rel=1e-6)
    metrics.add(torch.tensor(2.0), torch.eye(10)[:4], torch.tensor([0, 1, 2, 9]))
    assert metrics.take() == (2.0, 25.0), "taken sums begin anew"


def test_a_loss_that_was_not_finite_is_remembered() -> None:
    metrics = Metrics(torch.device("cpu"))
    assert metrics.is_finite()
    for loss in (1.0, float("inf"), 1.0):
        metrics.add(torch.tensor(loss), torch.eye(10), torch.arange(10))
    assert not metrics.is_finite()
