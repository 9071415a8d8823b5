"""Every Triton kernel against plain PyTorch, in float64; without a GPU in Triton's interpreter."""

from collections.abc import Iterator
from copy import deepcopy
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data.arrays.augment import crop_and_flip, draw_epoch
from training.recipe.metrics import Metrics

pytest.importorskip("triton")
from training.engines.check import check
from training.engines.kernels import tiles
from training.engines.kernels.batch import gather
from training.engines.kernels.dense_maps import DenseMaps
from training.engines.kernels.loss import cross_entropy
from training.engines.kernels.norm_act import NormAct
from training.settings.types import ConfigError

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# Shapes that fill a tile, and that fill none; more channels than a tile has.
FORMS = list(product([False, True], repeat=4))
SHAPES = [(2, 8, 4, 4), (3, 5, 7, 3), (2, 70, 3, 2)]
# A form is compiled in, a shape is a matter of tiles: every form on one shape, and every shape with
# the least and the most of a form, stand for all of them.
CASES = [
    (shape, *form)
    if shape == SHAPES[1] or len(set(form)) == 1
    else pytest.param(shape, *form, marks=pytest.mark.slow)
    for shape, form in product(SHAPES, FORMS)
]


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Several tiles a program and several programs, on small maps."""
    monkeypatch.setattr(tiles, "ELEMENTS", 128)
    monkeypatch.setattr(tiles, "MAX_PROGRAMS", 4)
    yield


def maps(shape: tuple[int, ...], seed: int, *, mean: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64) + mean
    return x.to(DEVICE).contiguous(memory_format=torch.channels_last)


def layer(channels: int, *, dtype: torch.dtype = torch.float64) -> nn.BatchNorm2d:
    torch.manual_seed(1)
    made = nn.BatchNorm2d(channels, dtype=torch.float64)
    nn.init.uniform_(made.weight, -0.5, 1.5)
    nn.init.normal_(made.bias)
    return made.to(DEVICE, dtype)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("shape", "relu", "before", "after", "twice"), CASES, ids=str)
def test_norm_act_is_normalisation_additions_and_relu(
    shape: tuple[int, ...], relu: bool, before: bool, after: bool, twice: bool
) -> None:
    plain = layer(shape[1])
    fused = NormAct(deepcopy(plain), relu=relu)
    results = []
    for net in (plain, fused):
        # A mean of 1,000 deviations: naive sums of squares would keep ten digits of sixteen.
        x, b, a = (maps(shape, k, mean=1e3).requires_grad_() for k in range(3))
        if net is fused:
            made = fused(x, before=b if before else None, after=a if after else None, twice=twice)
            outputs = list(made) if isinstance(made, tuple) else [made]
        else:
            total = x + b if before else x
            y = plain(total) + a if after else plain(total)
            y = y.relu() if relu else y
            outputs = [y] * (1 + twice) + [total] * before
        loss = sum((y * maps(shape, 9 + k)).sum() for k, y in enumerate(outputs))
        wanted = [x, *([b] if before else []), *([a] if after else []), net.weight, net.bias]
        gradients = torch.autograd.grad(loss, wanted)  # type: ignore[arg-type]
        net.eval()
        with torch.no_grad():
            y = plain(x + b if before else x) + a if after else plain(x + b if before else x)
            if net is fused:
                made = fused(x, before=b if before else None, after=a if after else None)
                y = made[0] if isinstance(made, tuple) else made
            elif relu:
                y = y.relu()
        results.append([*outputs, *gradients, net.running_mean, net.running_var, y])
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)


def test_norm_act_passes_gradcheck() -> None:
    fused = NormAct(layer(2), relu=True)
    fused.weight.requires_grad_(False)
    fused.bias.requires_grad_(False)

    def function(x: Tensor, before: Tensor, after: Tensor) -> tuple[Tensor, ...]:
        return fused(x, before=before, after=after, twice=True)

    inputs = [maps((2, 2, 2, 1), seed).requires_grad_() for seed in range(3)]
    assert torch.autograd.gradcheck(function, inputs, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_norm_act_keeps_the_type_and_float32_sums(dtype: torch.dtype) -> None:
    plain = layer(8, dtype=torch.float32)
    x = maps((4, 8, 6, 6), 0, mean=3).to(dtype).requires_grad_()
    y = NormAct(plain, relu=True)(x)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == dtype and plain.weight.grad.dtype == torch.float32  # type: ignore[union-attr]
    expected = layer(8)(x.detach().double()).relu()
    # The interpreter cuts off what a GPU rounds to bfloat16, hence two units in the last place.
    tolerance = 1e-5 if dtype == torch.float32 else 2**-7
    torch.testing.assert_close(y.detach().double(), expected.detach(), rtol=tolerance, atol=1e-2)


def test_dense_maps_are_normalised_concatenations() -> None:
    """Three layers and a last reader, against concatenation, normalised every time anew."""
    widths, size = (5, 3, 3), (2, 5, 4, 3)
    torch.manual_seed(0)
    convs = [nn.Conv2d(5 + 3 * k, 3, 3, padding=1).double().to(DEVICE) for k in range(2)]
    results = []
    for shared in (False, True):
        norms = [layer(sum(widths[: k + 1])) for k in range(3)]
        x = maps(size, 0, mean=2).requires_grad_()
        if shared:
            buffer = DenseMaps(x, sum(widths), norms[0].eps)
            for norm_layer, conv in zip(norms, convs, strict=False):
                buffer.write(conv(buffer.read(NormAct(norm_layer, relu=True))))
            y = buffer.read_last(NormAct(norms[2], relu=True))
        else:
            whole = x
            for norm_layer, conv in zip(norms, convs, strict=False):
                whole = torch.cat([whole, conv(norm_layer(whole).relu())], 1)
            y = norms[2](whole).relu()
        wanted = [x, *(p for m in (*norms, *convs) for p in m.parameters())]
        gradients = torch.autograd.grad((y * maps(y.shape, 5)).sum(), wanted)
        statistics = [b for n in norms for b in (n.running_mean, n.running_var)]
        results.append(([y, *gradients], statistics))
    for expected, found in zip(results[0][0], results[1][0], strict=True):
        close(found, expected)
    for expected, found in zip(results[0][1], results[1][1], strict=True):  # momentum is a float32
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("mean", [(9, 7, 3), (3,)], ids=["pixel", "channel"])
@pytest.mark.parametrize("scale", [(3,), ()], ids=["channel", "one"])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32], ids=["pixels", "prepared"])
def test_gather_is_crop_and_flip(
    mean: tuple[int, ...], scale: tuple[int, ...], kind: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 9, 7, 3), dtype=torch.uint8, generator=generator).to(kind)
    labels = torch.randint(0, 10, (40,), generator=generator)
    plan = draw_epoch(40, seed=1, epoch=0, pad=2, flip=True)
    means = torch.rand(mean, generator=generator) * 200
    scales = torch.rand(scale, generator=generator)
    expected = crop_and_flip(images, plan[5:13], pad=2, mean=means, scale=scales)
    moved = [t.to(DEVICE) for t in (images, labels, plan, torch.tensor(5))]
    found, chosen = gather(
        *moved, 8, pad=2, mean=means.to(DEVICE), scale=scales.to(DEVICE), dtype=torch.float32
    )
    assert torch.equal(found.cpu(), expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(chosen.cpu(), labels[plan[5:13, 0]])


@pytest.mark.parametrize(("rows", "classes"), [(128, 10), (33, 100), (5, 1000)])
def test_loss_gradient_and_metric_sums(rows: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(rows, classes, dtype=torch.float64, generator=generator)
    logits[0, :3] = 9.0  # several are largest: argmax takes the first
    labels = torch.randint(0, classes, (rows,), generator=generator)
    logits, labels = logits.to(DEVICE).requires_grad_(), labels.to(DEVICE)
    expected = Metrics(DEVICE)
    expected.sums.fill_(1)
    found = expected.sums.clone()
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    expected.add(loss.detach(), logits.detach(), labels)
    gradient = cross_entropy(logits.detach(), labels, found)
    close(found, expected.sums)
    close(gradient, logits.grad)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_loss_that_is_not_finite_stays_so() -> None:
    logits = torch.full((4, 10), float("nan"), device=DEVICE)
    sums = torch.zeros(3, dtype=torch.float64, device=DEVICE)
    cross_entropy(logits, torch.zeros(4, dtype=torch.int64, device=DEVICE), sums)
    assert not sums[0].isfinite()


@pytest.mark.slow  # test_engine.py runs it in a process of its own
def test_the_check_before_a_run_passes() -> None:
    check(DEVICE)


def test_the_check_before_a_run_would_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.engines.check.TOLERANCE", 0.0)
    with pytest.raises(RuntimeError, match="differ by"):
        check(DEVICE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_check_sees_a_convolution_that_is_wrong_in_either_precision(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.engines import check as checking

    def wrong(x: torch.Tensor, weight: torch.Tensor, stride: int) -> torch.Tensor:
        y = F.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)
        return 1.01 * y if x.dtype == dtype else y

    for name in ("_norm", "_loss", "_batch", "_dense"):  # which are right
        monkeypatch.setattr(checking, name, lambda device: [])
    monkeypatch.setattr(checking, "has_kernels", lambda device: True)
    monkeypatch.setattr(checking, "convolve", wrong)
    with pytest.raises(RuntimeError, match="results of the conv kernels differ"):
        check(DEVICE)


def test_kernels_too_large_for_a_gpu_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from triton.runtime.errors import OutOfResources

    from training.engines.fused_step import FusedStep
    from training.recipe.step import Step

    def too_large(step: Step, size: int) -> None:
        raise OutOfResources(131_072, 101_376, "shared memory")

    monkeypatch.setattr(Step, "__call__", too_large)
    with pytest.raises(ConfigError, match=r"shared memory, Required: 131072.*\n.*captured"):
        FusedStep.__call__(object.__new__(FusedStep), 8)
