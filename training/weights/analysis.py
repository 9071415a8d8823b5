"""Analyses of trained weights: layer responses, and feature reuse in dense blocks."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from data.arrays.augment import normalise
from models.densenet import DenseBlock, DenseNet, Transition
from records.files import write_csv
from training.recipe.evaluate import BATCH
from training.recipe.run_data import test_split
from training.settings.types import ConfigError
from training.weights.members import Member, load_networks


def analyse(member: Member, analysis: str, folder: Path) -> Path:
    """Analyse weights, write the result into the folder of their record and return the file.

    Raises:
        ConfigError: the analysis does not apply to this network.
        WeightsError, DataError: see `load_networks`.
    """
    loaded = load_networks([member])
    if analysis == "reuse":
        rows = reuse(loaded.models[0])
    else:
        x, _ = test_split(loaded.settings, loaded.images, loaded.device)
        rows = responses(loaded.models[0], x, loaded.mean, loaded.scale)
    path = folder / f"{analysis}.csv"
    write_csv(path, rows)
    return path


@torch.no_grad()
def responses(model: nn.Module, images: Tensor, mean: Tensor, scale: Tensor) -> list[dict]:
    """Standard deviation of the responses of every 3x3 layer (He et al. 2015, Fig. 7).

    Taken after normalisation and before ReLU or addition, over all images, positions and channels
    of a layer, in evaluation mode.

    Args:
        images: uint8 (N, H, W, 3).

    Returns:
        A row per layer: `layer`, counted from 1, and `std`.

    Raises:
        ConfigError: no normalisation follows a 3x3 convolution in this network.
    """
    norms = [norm for conv, norm in _successive(model) if conv.kernel_size == (3, 3)]
    if not norms:
        raise ConfigError("analysis=responses needs a network whose 3x3 layers end normalised.")
    sums = torch.zeros(len(norms), 3, dtype=torch.float64, device=mean.device)
    hooks = [norm.register_forward_hook(_adder(row)) for norm, row in zip(norms, sums, strict=True)]
    model.eval()
    for first in range(0, len(images), BATCH):
        some = images[first : first + BATCH].to(mean.device)
        model(normalise(some, mean=mean, scale=scale))
    for hook in hooks:
        hook.remove()
    total, squares, count = sums.unbind(1)
    stds = (squares / count - (total / count) ** 2).sqrt().tolist()
    return [{"layer": number, "std": f"{std:.6f}"} for number, std in enumerate(stds, 1)]


def reuse(model: nn.Module) -> list[dict]:
    """Weight that every layer of a dense block gives each earlier one (Huang et al. 2017, Fig. 5).

    The summed magnitude of a convolution's weights on a group of input maps, divided by the number
    of those maps.

    Returns:
        A row per pair of layers: `block`, `source` (0 is the block's input), `target` (one past
        the last layer is the transition, or the classifier) and `weight`.

    Raises:
        ConfigError: this is not a DenseNet.
    """
    if not isinstance(model, DenseNet):
        raise ConfigError("analysis=reuse needs a DenseNet.")
    rows = []
    for number, readers in enumerate(_readers(model), 1):
        ends = [layer.weight.shape[1] for layer in readers]
        for target, layer in enumerate(readers, 1):
            weight = layer.weight.detach().abs()
            weight = weight.sum([0, *range(2, weight.ndim)])  # a value for every input map
            sizes = [end - begin for begin, end in pairwise([0, *ends[:target]])]
            for source, maps in enumerate(weight.split(sizes)):
                value = float(maps.mean())
                rows.append({"block": number, "source": source, "target": target,
                             "weight": f"{value:.6f}"})  # fmt: skip
    return rows


def _successive(model: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution with the normalisation after it, in the order of the forward pass."""
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            for one, other in pairwise(module):
                if isinstance(one, nn.Conv2d) and isinstance(other, nn.BatchNorm2d):
                    yield one, other


def _adder(row: Tensor) -> Callable[[nn.Module, tuple, Tensor], None]:
    """A hook that accumulates sum, sum of squares and number of a layer's outputs."""

    def add(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        values = output.double()
        row[0] += values.sum()
        row[1] += values.square().sum()
        row[2] += values.numel()

    return add


def _readers(model: DenseNet) -> Iterator[list[nn.Conv2d | nn.Linear]]:
    """For every dense block, the layers that read all maps so far: the first convolution of each
    dense layer, then that of the transition, or the classifier."""
    for block, after in pairwise([*model.stages, model.classifier]):
        if isinstance(block, DenseBlock):
            last = after.conv.get_submodule("conv1") if isinstance(after, Transition) else after
            convs = [layer.first.get_submodule("conv1") for layer in block.layers]  # type: ignore[union-attr]
            yield [*convs, last]  # type: ignore[list-item]
