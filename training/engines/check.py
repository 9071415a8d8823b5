"""Checks that the kernels agree with PyTorch on this GPU; takes seconds, before a run uses them.

python -m training.engines.check cuda:0
"""

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import torch
import torch.nn.functional as F
import triton
from torch import Tensor, nn

from data.arrays.augment import crop_and_flip, draw_epoch
from models.densenet import DenseNet
from records.command import argument_parser
from records.files import ROOT
from training.engines.fused_residual import fuse
from training.engines.kernels.batch import gather
from training.engines.kernels.conv_layer import convolve, has_kernels
from training.engines.kernels.loss import cross_entropy
from training.engines.kernels.norm_act import NormAct
from training.recipe import objective

TOLERANCE = 1e-3
# For products in TF32, with mantissas of 10 bits, and in bfloat16, with 7.
ROUNDED = {torch.float32: 3e-3, torch.bfloat16: 6e-3}
SECONDS = 600
# The kernels, and what they stand in for: whoever changes either has them checked again.
COMPARED = ("training/engines", "training/recipe", "data/arrays", "models")


def once(device: torch.device) -> None:
    """Check the kernels in a subprocess, since some GPU errors are fatal to a process; a machine
    that has passed is not checked again.

    Raises:
        torch.OutOfMemoryError: the GPU's memory is full, which says nothing about the kernels.
        RuntimeError: the kernels do not compile, or their results differ.
    """
    mark = Path(triton.knobs.cache.dir) / f"residual-to-dense-{_key(device)}"
    if mark.exists():
        return
    command = [sys.executable, "-m", "training.engines.check", str(device)]
    try:
        ended = subprocess.run(
            command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"they did not compile within {SECONDS} s") from None
    if ended.returncode:
        reason = _reason(ended.stderr) or f"exit code {ended.returncode}"
        raise (torch.OutOfMemoryError if "out of memory" in reason else RuntimeError)(reason)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()


def check(device: torch.device) -> None:
    """Compare the results of each kernel on small random feature maps with PyTorch's.

    Raises:
        RuntimeError: the results differ.
        Exception: whatever Triton raises if it cannot compile.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device.index or 0)  # Triton launches on the current device
    for compare in (_norm, _loss, _batch, _dense, _conv):
        for fused, plain in compare(device):
            error = (fused.float() - plain.float()).norm() / plain.float().norm()
            if not error < (ROUNDED[fused.dtype] if compare is _conv else TOLERANCE):
                name = compare.__name__.removeprefix("_")
                raise RuntimeError(f"results of the {name} kernels differ by {float(error):.1e}")


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _maps(*shape: int, device: torch.device, seed: int) -> Tensor:
    return _random(*shape, seed=seed).to(device).contiguous(memory_format=torch.channels_last)


def _norm(device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Normalisation with addition and ReLU, forward and backward."""
    x, shortcut, dy = (_maps(8, 16, 9, 9, device=device, seed=seed) for seed in range(3))
    norm = nn.BatchNorm2d(16, device=device)

    def plain(x: Tensor, shortcut: Tensor) -> Tensor:
        return F.relu(F.batch_norm(x, None, None, training=True) + shortcut)

    def fused(x: Tensor, shortcut: Tensor) -> Tensor:
        return NormAct(norm, relu=True)(x, after=shortcut)

    return list(zip(*(_gradients(f, (x, shortcut), dy) for f in (fused, plain)), strict=True))


def _gradients(function: Callable, inputs: tuple[Tensor, ...], dy: Tensor) -> list[Tensor]:
    inputs = tuple(value.clone().requires_grad_() for value in inputs)
    y = function(*inputs)
    return [y.detach(), *torch.autograd.grad(y, inputs, dy)]


def _conv(device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """One convolution of each kind, forward and backward, against PyTorch in float32."""
    results: list[tuple[Tensor, Tensor]] = []
    if device.type == "cuda" and not has_kernels(device):
        return results
    kinds = [(16, 16, 3, 1, 8), (3, 16, 3, 1, 8), (16, 32, 3, 2, 8), (40, 12, 1, 1, 8)]
    cases = [(kind, torch.float32) for kind in kinds] + [(kinds[0], torch.bfloat16)]
    batch = 2
    if device.type == "cuda":  # also the largest tiles, too slow in the interpreter
        cases, batch = list(product([*kinds, (64, 64, 3, 1, 64)], ROUNDED)), 8
    for (into, out, size, stride, pixels), dtype in cases:
        x, weight = (
            _maps(batch, into, pixels, pixels, device=device, seed=1).to(dtype),
            _maps(out, into, size, size, device=device, seed=2).to(dtype),
        )
        dy = _maps(batch, out, pixels // stride, pixels // stride, device=device, seed=3).to(dtype)

        def plain(x: Tensor, weight: Tensor, stride: int = stride) -> Tensor:
            return F.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)

        def fused(x: Tensor, weight: Tensor, stride: int = stride) -> Tensor:
            return convolve(x, weight, stride)

        computed = _gradients(fused, (x, weight), dy)
        expected = _gradients(plain, (x.float(), weight.float()), dy.float())
        results += list(zip(computed, expected, strict=True))
    return results


def _loss(device: torch.device) -> list[tuple[Tensor, Tensor]]:
    logits, labels = _random(8, 10).to(device).requires_grad_(), torch.arange(8, device=device)
    sums = torch.zeros(3, dtype=torch.float64, device=device)
    (plain,) = torch.autograd.grad(objective.cross_entropy(logits, labels)[0], logits)
    return [(cross_entropy(logits.detach(), labels, sums), plain.detach())]


def _batch(device: torch.device) -> list[tuple[Tensor, Tensor]]:
    images = (_random(16, 32, 32, 3).abs() * 80).clamp(0, 255).to(torch.uint8).to(device)
    labels = torch.arange(16, device=device)
    plan = draw_epoch(16, seed=0, epoch=0, pad=4, flip=True).to(device)
    mean, scale = _random(32, 32, 3, seed=1).to(device), torch.ones((), device=device)
    position = torch.zeros((), dtype=torch.int64, device=device)
    fused, chosen = gather(
        images, labels, plan, position, 16, pad=4, mean=mean, scale=scale, dtype=torch.float32
    )
    plain = crop_and_flip(images, plan, pad=4, mean=mean, scale=scale)
    return [(fused, plain), (chosen, labels[plan[:, 0]])]


def _dense(device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Logits of a small DenseNet-BC, and the gradients of all its parameters."""
    torch.manual_seed(0)
    nets = [DenseNet(10, 12, bottleneck=True, compression=0.5, classes=10) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    x, dy = _maps(4, 3, 8, 8, device=device, seed=3), _random(4, 10, seed=4).to(device)
    results = []
    for net in (fuse(nets[0]), nets[1]):
        net.to(device).to(memory_format=torch.channels_last)
        logits = net(x)
        logits.backward(dy)
        gradient = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
        results.append((logits.detach(), gradient))
    return list(zip(*results, strict=True))


def _reason(stderr: str) -> str:
    """The line of a traceback that names the error; after that of a CUDA error comes advice."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Resources)\b", line)]
    return (named or lines or [""])[-1]


def _key(device: torch.device) -> str:
    """Hash of what a passed check is valid for: the code compared, versions, this GPU model."""
    digest = hashlib.sha256()
    for path in (path for top in COMPARED for path in sorted((ROOT / top).rglob("*.py"))):
        digest.update(path.read_bytes())
    facts = (torch.__version__, triton.__version__, torch.cuda.get_device_name(device))
    digest.update(repr(facts).encode())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    parser = argument_parser(__doc__)
    parser.add_argument("device", type=torch.device)
    given = parser.parse_args().device
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    check(given)
