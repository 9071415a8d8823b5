"""The least time a training step can take on a GPU: bytes, operations and kernels of its layers.

Counted for the fused form: a convolution is three kernels of the library (its first has no gradient
by the images), a normalisation with its ReLU and additions four of ours. Bytes are those of the
maps in bfloat16 or float32; weights are small beside them. It is a floor for kernels of this form
only: what stays in a cache between two of them is counted as moved, and a dense block's shared
statistics, which the fused engine has, are not credited.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from models.residual import ResidualUnit
from models.shortcuts import Identity
from training.network import model_arguments, model_class

# Kernels of a step that no layer of the body has: the batch and its position; pooling and the
# classifier, forward and back; loss; gathering gradients, update and cast.
OTHERS = 2 + 2 + 3 + 1 + 3
# Passes over the maps: statistics read one; apply reads one and writes one; reduce reads two;
# correct reads two and writes one.
NORM_PASSES = (1, 2, 2, 3)
# An addition before the ReLU reads the shortcut forward; back it reads the second gradient and the
# ReLU's output, and writes the sum. One before a normalisation reads a summand and writes the sum
# forward, and reads the shortcut's gradient back.
ADDITION_PASSES = {"after": 4, "before": 3}


@dataclass
class Kernel:
    """What a kernel moves and computes: bytes, and floating-point operations."""

    bytes: float
    flops: float = 0.0


@dataclass
class Work:
    """A training step: its kernels, its convolutions, and the bytes of what those put out."""

    kernels: list[Kernel]
    convs: int = 0
    conv_bytes: float = 0.0

    @property
    def bytes(self) -> float:
        """Bytes that all kernels move."""
        return sum(kernel.bytes for kernel in self.kernels)

    def floor(self, *, bandwidth: float, node: float, flops: float) -> float:
        """Seconds: of each kernel the longest of its launch, its bytes and its operations."""
        return sum(
            max(node, kernel.bytes / bandwidth, kernel.flops / flops) for kernel in self.kernels
        )


def work_of(model: dict[str, Any], *, batch: int, pixels: int, element: int = 2) -> Work:
    """The work of a training step of a network.

    Args:
        model: as in the settings.
        element: bytes of a number in the maps.
    """
    with torch.device("meta"):
        network = model_class(model)(**model_arguments(model)).eval()
    work = Work([])

    def conv(layer: nn.Conv2d, inputs: tuple, output: torch.Tensor) -> None:
        read, written = (t.numel() * element for t in (inputs[0], output))
        flops = 2.0 * output.numel() * layer.weight[0].numel()
        passes = 2 if layer.in_channels == 3 else 3
        work.kernels += [Kernel(read + written, flops) for _ in range(passes)]
        work.convs += 1
        work.conv_bytes += written

    def norm(layer: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        size = output.numel() * element
        work.kernels += [Kernel(passes * size) for passes in NORM_PASSES]

    def unit(layer: ResidualUnit, inputs: tuple, output: torch.Tensor) -> None:
        # The addition lies in the kernels of a normalisation.
        passes = ADDITION_PASSES["after" if len(layer.after) else "before"]
        work.kernels[-1].bytes += passes * output.numel() * element

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(conv)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_hook(norm)
        elif isinstance(layer, ResidualUnit) and isinstance(layer.shortcut, Identity):
            layer.register_forward_hook(unit)
    with torch.no_grad():
        network(torch.empty(batch, 3, pixels, pixels, device="meta"))
    work.kernels += [Kernel(0.0)] * OTHERS
    return work
