"""The kernels of convolutions against PyTorch in float64; without a GPU in the interpreter."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.densenet import DenseNet
from models.resnet import ResNet

pytest.importorskip("triton")
from training.engines.fused_residual import fuse
from training.engines.kernels.conv_layer import Conv, convolve, is_narrow

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# Channels that fill a tile and that fill none, more than a tile has, the three of images.
CHANNELS = [(16, 16), (28, 12), (20, 70), (3, 16), (100, 12)]
TYPES = [torch.float32, torch.bfloat16]
# Of channels in and out, size, stride and type: every pair of values.
QUICK = {
    torch.float32: {
        (16, 16, 3, 1), (28, 12, 3, 2), (28, 12, 1, 1), (20, 70, 1, 1), (20, 70, 3, 2),
        (3, 16, 3, 1), (100, 12, 3, 1), (100, 12, 1, 2), (16, 16, 1, 2),
    },
    torch.bfloat16: {
        (16, 16, 3, 1), (28, 12, 3, 2), (3, 16, 3, 2), (100, 12, 1, 1), (20, 70, 1, 2),
        (3, 16, 1, 1),
    },
}  # fmt: skip
CASES = [
    pytest.param(*case, marks=() if case[:-1] in QUICK[case[-1]] else pytest.mark.slow)
    for case in [(*c, *k, t) for c, k, t in product(CHANNELS, product([3, 1], [1, 2]), TYPES)]
]
# Relative errors: TF32 has ten binary digits, bfloat16 seven, the sum of two of those over twice
# as many; the interpreter multiplies in float32.
ROUGH = {torch.float32: 1e-3 if torch.cuda.is_available() else 1e-6, torch.bfloat16: 6e-3}
SPLIT = {torch.float32: 1e-4, torch.bfloat16: 6e-3}


def maps(*shape: int, seed: int, dtype: torch.dtype) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE, dtype)
    return x.contiguous(memory_format=torch.channels_last)


def error(found: Tensor, expected: Tensor) -> float:
    return float(((found.double() - expected).norm() / expected.norm()).detach())


@pytest.mark.parametrize(("into", "out", "size", "stride", "dtype"), CASES, ids=str)
def test_a_convolution_and_its_gradients(
    into: int, out: int, size: int, stride: int, dtype: torch.dtype
) -> None:
    x = maps(3, into, 5, 8, seed=0, dtype=dtype).requires_grad_()
    weight = maps(out, into, size, size, seed=1, dtype=dtype).requires_grad_()
    expected = F.conv2d(x.double(), weight.double(), stride=stride, padding=size // 2)
    dy = maps(*expected.shape, seed=2, dtype=dtype)
    y = convolve(x, weight, stride)
    assert error(y, expected) < ROUGH[dtype]
    dx, dweight = torch.autograd.grad(y, (x, weight), dy)
    plain_dx, plain_dweight = torch.autograd.grad(expected, (x, weight), dy.double())
    assert error(dx, plain_dx.double()) < ROUGH[dtype]
    assert error(dweight, plain_dweight.double()) < SPLIT[dtype]
    assert dx.dtype == dweight.dtype == y.dtype == dtype
    assert dweight.stride() == weight.stride()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(
    ("into", "out", "size", "stride", "pixels"),
    [(64, 64, 3, 1, 32), (256, 64, 1, 1, 32), (64, 256, 1, 1, 32), (448, 48, 1, 1, 32),
     (32, 64, 3, 2, 32), (160, 12, 3, 1, 32), (3, 24, 3, 1, 32)],
)  # fmt: skip
def test_the_largest_tiles(
    into: int, out: int, size: int, stride: int, pixels: int, dtype: torch.dtype
) -> None:
    """Batches as large as in training: too many for the interpreter."""
    x = maps(128, into, pixels, pixels, seed=0, dtype=dtype).requires_grad_()
    weight = maps(out, into, size, size, seed=1, dtype=dtype).requires_grad_()
    expected = F.conv2d(x.double(), weight.double(), stride=stride, padding=size // 2)
    y = convolve(x, weight, stride)
    dy = maps(*expected.shape, seed=2, dtype=dtype)
    assert error(y, expected) < ROUGH[dtype]
    found = torch.autograd.grad(y, (x, weight), dy)
    for one, other in zip(
        found, torch.autograd.grad(expected, (x, weight), dy.double()), strict=True
    ):
        assert error(one, other.double()) < ROUGH[dtype]


def test_images_get_no_gradient() -> None:
    weight = maps(4, 3, 3, 3, seed=1, dtype=torch.float32).requires_grad_()
    y = convolve(maps(2, 3, 4, 4, seed=0, dtype=torch.float32), weight, 1)
    y.sum().backward()
    assert weight.grad is not None and float(weight.grad.abs().sum()) > 0


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(16, 16, 3, padding=1, bias=True),
        nn.Conv2d(16, 16, 3, padding=0, bias=False),
        nn.Conv2d(16, 16, 3, padding=2, dilation=2, bias=False),
        nn.Conv2d(16, 16, 3, padding=1, groups=4, bias=False),
        nn.Conv2d(3, 64, 7, 2, padding=3, bias=False),
        nn.Conv2d(304, 304, 1, bias=False),
        nn.Linear(16, 16),
    ],
    ids=str,
)
def test_other_layers_are_left_alone(layer: nn.Module) -> None:
    assert not is_narrow(layer)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ResNet(20), lambda: ResNet(20, match="project"),
        lambda: ResNet(164, unit="bottleneck", order="full_preact"),
        lambda: DenseNet(100, 12, bottleneck=True, compression=0.5),
    ],
    ids=["resnet20", "resnet20_project", "full_preact_164", "densenet_bc_100_12"],
)  # fmt: skip
def test_every_convolution_of_the_small_networks_is_exchanged(
    make: Callable[[], nn.Module],
) -> None:
    network = make()
    names = [n for n, layer in network.named_modules() if isinstance(layer, nn.Conv2d)]
    names = [n for n in names if "transition" not in n]  # as wide as cuDNN likes them
    before = {name: value.data_ptr() for name, value in network.state_dict().items()}
    fuse(network)
    layers = dict(network.named_modules())
    after = {name: value.data_ptr() for name, value in network.state_dict().items()}
    assert sum(isinstance(layer, Conv) for layer in layers.values()) == len(names)
    assert after == before


@pytest.mark.parametrize("kernels", [False, True])
def test_a_layer_on_the_cpu_or_in_full_precision_is_pytorchs(
    kernels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.engines.kernels.conv_layer.has_kernels", lambda device: kernels)
    plain = nn.Conv2d(16, 16, 3, padding=1, bias=False, dtype=torch.float64)
    x = torch.randn(2, 16, 5, 5, dtype=torch.float64)
    assert torch.equal(Conv(plain)(x), plain(x))
