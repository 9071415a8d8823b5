"""Networks with shipped weights, for torch.hub or a plain import.

    model = torch.hub.load("<this checkout>", "resnet56", source="local")
    logits = model(images)  # RGB, (N, 3, 32, 32), in [0, 1]

Each was trained in this suite with the paper's full recipe and seed 0. The card beside its file in
results/weights/ describes the training and the intended use.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from models.resnet import ResNet

dependencies = ["torch", "numpy", "safetensors"]

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Cifar10Classifier(nn.Module):
    """A network with the input normalisation it was trained with.

    Attributes:
        mean: mean training image of CIFAR-10, scale 0 to 255, (1, 3, 32, 32).
        classes: class names, in the order of the logits.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        mean = torch.from_numpy(np.load(ROOT / "data" / "arrays" / "cifar10_mean.npy"))
        self.register_buffer("mean", mean.permute(2, 0, 1)[None], persistent=False)
        self.network, self.classes = network, CLASSES

    def forward(self, images: Tensor) -> Tensor:
        """Map RGB images in [0, 1], (N, 3, 32, 32), to logits (N, 10).

        Raises:
            TypeError: the images are integers, so presumably 0 to 255.
            ValueError: they have another shape, or a value outside [0, 1].
        """
        if not images.is_floating_point():
            raise TypeError(f"Images are floats from 0 to 1, not {images.dtype}: divide by 255.")
        if images.dim() != 4 or images.shape[1:] != self.mean.shape[1:]:
            raise ValueError(f"Images are (N, 3, 32, 32), not {tuple(images.shape)}.")
        if len(images) and not torch.compiler.is_compiling():  # a graph cannot read values
            low, high = images.aminmax()
            if not (low >= 0) & (high <= 1):
                raise ValueError("Images are RGB from 0 to 1, without any normalisation.")
        return self.network(images * 255 - self.mean)


def _network(depth: int, row: str, **kind: str) -> Callable[..., Cifar10Classifier]:
    """A function that builds a network in evaluation mode, by default with a row's weights."""

    def build(pretrained: bool = True) -> Cifar10Classifier:
        network = ResNet(depth, **kind)
        if pretrained:
            network.load_state_dict(safetensors.torch.load(_weights(row)))
        return Cifar10Classifier(network).eval()

    build.__doc__ = f"The {depth}-layer network of He et al. 2015, {row}."
    return build


def _weights(row: str) -> bytes:
    """The file of a row's weights.

    Raises:
        RuntimeError: it is missing, or not the one whose checksum is in the record.
    """
    run = f"he2015_residual/{row}/cifar10_aug/seed0"
    path = RESULTS / "weights" / f"{run}.safetensors"
    recorded = json.loads((RESULTS / "runs" / run / "summary.json").read_text(encoding="utf-8"))
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != recorded["weights"]:
        raise RuntimeError(f"{path} is missing or damaged; `git checkout {path}` restores it.")
    return content


resnet20 = _network(20, "table6/resnet20")
resnet32 = _network(32, "table6/resnet32")
resnet44 = _network(44, "table6/resnet44")
resnet56 = _network(56, "table6/resnet56")
plain20 = _network(20, "fig6/plain20", shortcut="none")
plain32 = _network(32, "fig6/plain32", shortcut="none")
plain44 = _network(44, "fig6/plain44", shortcut="none")
plain56 = _network(56, "fig6/plain56", shortcut="none")
