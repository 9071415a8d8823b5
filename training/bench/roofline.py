"""The least time a training step can take on a GPU, from its kernels' memory traffic and launches.

Counted for the fused form: a convolution is three library kernels (two for the first, as images
need no gradient), a normalisation with its ReLU and additions four of ours. Bytes are those of the
feature maps; weights are small by comparison. The floor holds for kernels of this form only: data
that stay in a cache between two kernels count as moved, and the fused engine's shared statistics in
dense blocks are not credited.
"""

from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn

from models.residual import ResidualUnit
from models.shortcuts import Identity
from training.bench.turns import gpu_seconds

# Kernels of a step outside the body's layers: the batch and its position; pooling and the
# classifier, forward and backward; loss; gathering gradients, update and cast.
OTHERS = 2 + 2 + 3 + 1 + 3
# Passes over the maps: statistics read one; apply reads one and writes one; reduce reads two;
# correct reads two and writes one.
NORM_PASSES = (1, 2, 2, 3)
# An addition before the ReLU reads the shortcut forward; backward it reads the second gradient and
# the ReLU's output, and writes the sum. One before a normalisation reads a summand and writes the
# sum forward, and reads the shortcut's gradient backward.
BEFORE_RELU, BEFORE_NORM = 4, 3
COPY, LAUNCHES = 2**30, 1000


@dataclass(frozen=True)
class Limits:
    """Limits of a GPU: bytes per second that a copy reads and writes, seconds per empty kernel."""

    bandwidth: float
    launch: float

    def floor(self, kernels: list[int]) -> float:
        """Lower bound on the seconds that kernels take, given the bytes that each moves."""
        return sum(max(self.launch, moved / self.bandwidth) for moved in kernels)


def kernels_of(network: nn.Module, batch: int, pixels: int, element: int) -> list[int]:
    """Bytes that each kernel of a training step moves.

    Args:
        network: its outline, on the meta device.
        element: bytes per element of the maps.
    """
    moved: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        written = output.numel() * element
        if isinstance(layer, nn.Conv2d):
            read = inputs[0].numel() * element
            moved.extend([read + written] * (2 if layer.in_channels == 3 else 3))
        elif isinstance(layer, nn.BatchNorm2d):
            moved.extend(passes * written for passes in NORM_PASSES)
        elif isinstance(layer, ResidualUnit) and isinstance(layer.shortcut, Identity):
            # The addition is fused into the kernels of a normalisation.
            moved[-1] += (BEFORE_RELU if len(layer.after) else BEFORE_NORM) * written

    hooks = [layer.register_forward_hook(count) for layer in network.modules()]
    with torch.no_grad():
        network(torch.empty(batch, 3, pixels, pixels, device="meta"))
    for hook in hooks:
        hook.remove()
    return [*moved, *[0] * OTHERS]


def measure_limits() -> Limits:
    """Measure the current GPU's limits, by a large copy and a graph of many one-element kernels."""
    source = torch.empty(COPY, dtype=torch.uint8, device="cuda")
    target, one = torch.empty_like(source), torch.zeros(1, device="cuda")
    copying = median(gpu_seconds(lambda: target.copy_(source), 10) for _ in range(5))
    one.add_(1)  # the loading of the first kernel cannot be captured
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(LAUNCHES):
            one.add_(1)
    launching = median(gpu_seconds(graph.replay, 5) for _ in range(5))
    return Limits(bandwidth=2 * COPY / copying, launch=launching / LAUNCHES)
