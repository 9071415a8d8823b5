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

from models.classifier import Classifier
from models.resnet import ResNet

dependencies = ["torch", "numpy", "safetensors"]

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def _network(depth: int, row: str, **kind: str) -> Callable[..., Classifier]:
    """A function that builds a network in evaluation mode, by default with a row's weights."""

    def build(pretrained: bool = True) -> Classifier:
        network = ResNet(depth, **kind)
        if pretrained:
            network.load_state_dict(safetensors.torch.load(_weights(row)))
        mean = torch.from_numpy(np.load(ROOT / "data" / "arrays" / "cifar10_mean.npy"))
        return Classifier(network, mean.permute(2, 0, 1)[None], CLASSES).eval()

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
