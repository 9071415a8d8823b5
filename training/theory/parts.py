"""Parts of a network on their own: sub-networks of stochastic depth, and probes of its layers."""

import warnings
from collections.abc import Callable, Collection
from copy import deepcopy

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from models.densenet import DenseBlock, DenseNet
from models.stochastic_depth import StochasticDepth
from training.theory.networks import Trained, units


@torch.no_grad()
def error_without(
    model: nn.Module, images: Tensor, labels: Tensor, dropped: Collection[int]
) -> float:
    """Test error in percent of the sub-network without some units' branches.

    Huang et al. 2016, Section 3 ("implicit model ensemble"): each mini-batch trains one of 2^L such
    networks. As there, the other branches count in full.

    Args:
        dropped: the units whose branches are left out, counted from 0.
    """
    model = deepcopy(model).eval()

    def scaled(factor: float) -> Callable[[nn.Module, object, Tensor], Tensor]:
        return lambda _, x, y: factor * y

    for number, unit in enumerate(units(model)):
        branch = unit.branch
        survival = branch.survival if isinstance(branch, StochasticDepth) else 1.0
        branch.register_forward_hook(scaled(0.0 if number in dropped else 1 / survival))
    return error(model, images, labels)


@torch.no_grad()
def error(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Error in percent of a network on images."""
    return 100 * float((model(images).argmax(1) != labels).float().mean())


def probe_errors(trained: Trained) -> list[float]:
    """Test error in percent of a linear classifier on the maps after each unit or dense layer.

    Huang et al. 2017, Section 5 ("implicit deep supervision"), compare DenseNets to networks with
    classifiers attached to every layer. The maps are averaged over pixels, as before a network's
    own classifier; logistic regression is fitted to the training images.
    """
    taught = features(trained.model, trained.train[0])
    tested = features(trained.model, trained.test[0])
    labels, truth = trained.train[1].numpy(), trained.test[1].numpy()
    return [_probe(x, labels, y, truth) for x, y in zip(taught, tested, strict=True)]


@torch.no_grad()
def features(model: nn.Module, images: Tensor) -> list[np.ndarray]:
    """Pixel means of the maps after each unit, or of all maps so far after each dense layer."""
    model = deepcopy(model).eval()
    means: list[np.ndarray] = []

    def keep(maps: Tensor) -> None:
        means.append(maps.mean((2, 3)).numpy())

    if isinstance(model, DenseNet):
        for block in (part for part in model.stages if isinstance(part, DenseBlock)):
            for layer in list(block.layers)[1:]:
                layer.register_forward_pre_hook(lambda _, x: keep(torch.cat(x[0], 1)))
            block.register_forward_hook(lambda _, x, y: keep(y))
    else:
        for unit in units(model):
            unit.register_forward_hook(lambda _, x, y: keep(y))
    model(images)
    return means


def _probe(x: np.ndarray, labels: np.ndarray, tested: np.ndarray, truth: np.ndarray) -> float:
    scaler = StandardScaler().fit(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier = LogisticRegression(max_iter=300).fit(scaler.transform(x), labels)
    return 100 * float((classifier.predict(scaler.transform(tested)) != truth).mean())
