"""A step captured in CUDA graphs: launched whole, with nothing left to do on the host."""

import sys
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

WARMUP_STEPS = 3
# Launches the host may be ahead of the GPU: enough to keep it busy, few enough to stop soon.
AHEAD = 20


class Capturable(Protocol):
    """What can be captured: a function of a batch size that works on tensors of its own."""

    def __call__(self, size: int) -> None: ...

    def tensors(self) -> Sequence[Tensor]:
        """Every tensor that a call changes, the same ones every time."""


class Captured:
    """Replays a step from a CUDA graph, one graph for each batch size that occurs.

    Capturing runs the step a few times first, as CUDA graphs ask for, and then restores every
    tensor it changed, so the results are those of the eager step. Where the step cannot be
    captured it runs eagerly from then on, with a warning. The graphs of one device that never run
    at the same time can share their memory.

    Args:
        pool: memory that the graphs use; see `torch.cuda.graph_pool_handle`.
    """

    def __init__(self, step: Capturable, pool: Any = None):
        self.step, self.pool = step, pool
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self.eager = False
        self.launched, self.fence = 0, torch.cuda.Event()

    def __call__(self, size: int) -> None:
        if size not in self.graphs and not self.eager:
            self.try_capture(size)
        if self.eager:
            self.step(size)
        else:
            self.graphs[size].replay()
            self.keep_near()

    def keep_near(self) -> None:
        """Wait, now and then, for the launches before the last `AHEAD`; the queue never empties."""
        self.launched += 1
        if self.launched % AHEAD == 0:
            self.fence.synchronize()
            self.fence.record()

    def try_capture(self, size: int) -> None:
        saved = [tensor.clone() for tensor in self.step.tensors()]
        try:
            # What warming up and capturing draw is drawn beside the run's own numbers.
            devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
            with torch.random.fork_rng(devices):
                self.graphs[size] = self.capture(size, saved)
        except (torch.OutOfMemoryError, torch.AcceleratorError):
            raise  # an eager step would fare no better
        except RuntimeError as error:
            self.eager = True
            reason = str(error).splitlines()[0]
            print(f"The step runs eagerly: it cannot be captured ({reason}).", file=sys.stderr)
        self.restore(saved)

    def capture(self, size: int, saved: list[Tensor]) -> torch.cuda.CUDAGraph:
        """Record one call for a batch size; leaves behind what warming up changed."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARMUP_STEPS):
                self.step(size)
                self.restore(saved)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=side):
            self.step(size)
        return graph

    def restore(self, saved: list[Tensor]) -> None:
        """Set every tensor of the step back."""
        with torch.no_grad():
            for tensor, value in zip(self.step.tensors(), saved, strict=True):
                tensor.copy_(value)
