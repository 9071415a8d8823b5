"""Whether the kernels do on a GPU what PyTorch does; seconds, before a run relies on them."""

import torch
import torch.nn.functional as F
from torch import nn

from training.engines.kernels.loss import cross_entropy
from training.engines.kernels.norm_act import NormAct

TOLERANCE = 1e-3


def check(device: torch.device) -> None:
    """Compare normalisation, addition, ReLU and loss with PyTorch's on small random maps.

    Raises:
        RuntimeError: they differ.
        Exception: whatever Triton raises where it cannot compile.
    """
    generator = torch.Generator().manual_seed(0)
    x, shortcut, dy = (
        torch.randn(8, 16, 9, 9, generator=generator)
        .to(device)
        .contiguous(memory_format=torch.channels_last)
        for _ in range(3)
    )
    norm = nn.BatchNorm2d(16, device=device)
    results = []
    for fused in (False, True):
        inputs = x.clone().requires_grad_(), shortcut.clone().requires_grad_()
        if fused:
            y = NormAct(norm, relu=True)(inputs[0], after=inputs[1])
        else:
            y = F.relu(F.batch_norm(inputs[0], None, None, training=True) + inputs[1])
        results.append([y.detach(), *torch.autograd.grad(y, inputs, dy)])
    logits = x.flatten(1)[:, :10].contiguous().requires_grad_()
    labels = torch.arange(8, device=device)
    sums = torch.zeros(3, dtype=torch.float64, device=device)
    results[0] += torch.autograd.grad(F.cross_entropy(logits, labels), logits)
    results[1] += [cross_entropy(logits.detach(), labels, sums)]
    for plain, fused_result in zip(*results, strict=True):
        error = (fused_result - plain).norm() / plain.norm()
        if not error < TOLERANCE:
            raise RuntimeError(f"their results differ by {float(error):.1e}")
