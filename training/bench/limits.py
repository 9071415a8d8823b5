"""What a GPU can do at most, measured: bytes and operations a second, small kernels in a graph."""

from dataclasses import dataclass
from statistics import median

import torch

from training.bench.cuda import timed

COPY_BYTES, NODES, MATRIX = 2**30, 1000, 8192


@dataclass(frozen=True)
class Limits:
    """Of one GPU.

    Attributes:
        bandwidth: bytes a second that a large copy reads and writes.
        node: seconds of a kernel that does next to nothing, in a graph of many.
        flops: floating-point operations a second of a large matrix product, by precision.
    """

    bandwidth: float
    node: float
    flops: dict[str, float]


def measure_limits() -> Limits:
    """Measure them; takes seconds."""
    flops = {"tf32": product_flops(torch.float32), "bf16": product_flops(torch.bfloat16)}
    return Limits(copy_bandwidth(), node_seconds(), flops)


def copy_bandwidth() -> float:
    """Bytes a second that a large copy reads and writes."""
    source = torch.empty(COPY_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    seconds = median(timed(lambda: target.copy_(source), 10) for _ in range(5))
    return 2 * COPY_BYTES / seconds


def product_flops(dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product; float32 in TF32 where the GPU has it."""
    torch.backends.cuda.matmul.allow_tf32 = True
    a = torch.randn(MATRIX, MATRIX, device="cuda", dtype=dtype)
    seconds = median(timed(lambda: a @ a, 5) for _ in range(5))
    return 2 * MATRIX**3 / seconds


def node_seconds() -> float:
    """Seconds of a kernel that does next to nothing, in a graph of many."""
    x = torch.zeros(1, device="cuda")
    x.add_(1)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(NODES):
            x.add_(1)
    return median(timed(graph.replay, 5) for _ in range(5)) / NODES
