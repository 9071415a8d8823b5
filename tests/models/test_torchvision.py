"""ImageNet networks against torchvision's, with weights copied by order."""

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from models.densenet import DenseNet
from models.resnet import ResNet
from training.weights.export import WeightsError, load_weights


def copied(theirs: nn.Module, ours: nn.Module) -> None:
    """Copy every tensor of a state dict by its kind and shape, in order."""

    def by_order(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
        # torchvision registers a projection after the branch, as we do; names aside all is alike.
        return [(n, t) for n, t in model.state_dict().items() if "num_batches" not in n]

    with torch.no_grad():
        for (name, target), (_, source) in zip(by_order(ours), by_order(theirs), strict=True):
            assert target.shape == source.shape, name
            target.copy_(source)


def assert_equal_outputs(theirs: nn.Module, ours: nn.Module) -> None:
    torch.manual_seed(0)
    for layer in theirs.modules():  # statistics that make a difference
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.1, 0.1)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.5, 1.5)  # type: ignore[arg-type]
            nn.init.uniform_(layer.weight, 0.3, 0.6)
    copied(theirs, ours)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected, found = theirs.eval()(x), ours.eval()(x)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


# Deeper networks have more of the same units, as many as test_models.py and test_densenet.py count.
@pytest.mark.parametrize(
    "depth", [18, 50, *(pytest.param(depth, marks=pytest.mark.slow) for depth in (34, 101, 152))]
)
def test_residual_networks(depth: int) -> None:
    theirs = getattr(torchvision.models, f"resnet{depth}")(weights=None)
    unit = "basic" if depth < 50 else "bottleneck"
    ours = ResNet(depth, 1000, images="imagenet", unit=unit, match="project", stride_on="3x3")
    assert_equal_outputs(theirs, ours)


@pytest.mark.parametrize(
    ("depth", "growth"),
    [(121, 32), (161, 48), *(pytest.param(d, 32, marks=pytest.mark.slow) for d in (169, 201))],
)
def test_dense_networks(depth: int, growth: int) -> None:
    theirs = getattr(torchvision.models, f"densenet{depth}")(weights=None)
    ours = DenseNet(depth, growth, 1000, images="imagenet", bottleneck=True, compression=0.5)
    assert_equal_outputs(theirs, ours)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_state_dict_of_torchvisions_is_read_by_order(suffix: str, tmp_path: Path) -> None:
    theirs = torchvision.models.resnet18(weights=None).eval()
    path = tmp_path / f"resnet18.{suffix}"
    if suffix == "pth":
        torch.save(theirs.state_dict(), path)
    else:
        save_file(theirs.state_dict(), path)
    ours = ResNet(18, 1000, images="imagenet", match="project").eval()
    assert not load_weights(ours, path)  # safetensors are sorted by name
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
    other = ResNet(34, 1000, images="imagenet", match="project")
    with pytest.raises(WeightsError, match="another network"):
        load_weights(other, path)
