"""A step captured in CUDA graphs: launched whole, with nothing left to do on the host."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

WARMUP_STEPS = 3
# Launches the host may be ahead of the GPU: enough to keep it busy, few enough to stop soon.
AHEAD = 20

Launch = Callable[[], None]


class Capturable(Protocol):
    """What can be captured: a function of a batch size that works on tensors of its own."""

    def __call__(self, size: int) -> None: ...

    def tensors(self) -> Sequence[Tensor]:
        """Every tensor that a call changes, the same ones every time."""


class Graphs(Protocol):
    """What makes graphs of calls."""

    def warm_up(self, call: Launch) -> None:
        """Do a call as it will be recorded, so that what it sets up once is there."""

    def record(self, call: Launch) -> Launch:
        """Record what a call launches; the result launches it again.

        Raises:
            RuntimeError: it does what no graph can hold.
        """


class CudaGraphs:
    """The CUDA graphs of one run on the current device.

    They never work at the same time, so they share their memory, which asks for one side stream
    that all of them are captured on.
    """

    def __init__(self) -> None:
        self.pool, self.side = torch.cuda.graph_pool_handle(), torch.cuda.Stream()
        self.launched, self.fence = 0, torch.cuda.Event()

    def warm_up(self, call: Launch) -> None:
        current = torch.cuda.current_stream()
        self.side.wait_stream(current)
        with torch.cuda.stream(self.side):
            call()
        current.wait_stream(self.side)

    def record(self, call: Launch) -> Launch:
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        # cuBLAS keeps a workspace a stream, outside of the pool; a graph must not share it with
        # what runs eagerly, nor keep the one of an earlier graph.
        torch._C._cuda_clearCublasWorkspaces()
        try:
            # Errors are this thread's: a loader that pins memory meanwhile does no harm.
            with torch.cuda.graph(
                graph, pool=self.pool, stream=self.side, capture_error_mode="thread_local"
            ):
                call()
        finally:
            torch.cuda.set_stream(current)  # a capture that fails leaves the side stream current
            torch._C._cuda_clearCublasWorkspaces()

        def launch() -> None:
            graph.replay()
            self.keep_near()

        return launch

    def keep_near(self) -> None:
        """Wait, now and then, for the launches before the last `AHEAD`; the queue never empties."""
        self.launched += 1
        if self.launched % AHEAD == 0:
            self.fence.synchronize()
            self.fence.record()


class Captured:
    """Launches a step from a graph, one graph for each batch size that occurs.

    Capturing runs the step a few times first, as CUDA graphs ask for, and then restores every
    tensor it changed, so the results are those of the eager step. Where the step cannot be
    captured it runs eagerly from then on, with a warning.
    """

    def __init__(self, step: Capturable, graphs: Graphs):
        self.step, self.graphs = step, graphs
        self.launches: dict[int, Launch] = {}
        self.eager = False

    def __call__(self, size: int) -> None:
        if size not in self.launches and not self.eager:
            self.try_capture(size)
        if self.eager:
            self.step(size)
        else:
            self.launches[size]()

    def try_capture(self, size: int) -> None:
        """Capture the step for a batch size, or note that it has to run eagerly."""
        call, saved = partial(self.step, size), [tensor.clone() for tensor in self.step.tensors()]
        try:
            # What warming up and capturing draw is drawn beside the run's own numbers.
            devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
            with torch.random.fork_rng(devices):
                for _ in range(WARMUP_STEPS):
                    self.graphs.warm_up(call)
                    self.restore(saved)
                self.launches[size] = self.graphs.record(call)
        except torch.OutOfMemoryError:
            raise  # an eager step would fare no better
        except RuntimeError as error:  # AcceleratorError, too: so ends an invalidated capture
            self.eager = True
            reason = str(error).splitlines()[0]
            print(f"The step runs eagerly: it cannot be captured ({reason}).", file=sys.stderr)
        self.restore(saved)  # after an error that the device does not survive this raises it again

    def restore(self, saved: list[Tensor]) -> None:
        """Set every tensor of the step back."""
        with torch.no_grad():
            for tensor, value in zip(self.step.tensors(), saved, strict=True):
                tensor.copy_(value)
