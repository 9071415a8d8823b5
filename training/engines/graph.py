"""Steps captured in CUDA graphs: launched as a whole, with no further work on the host."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

WARMUP_STEPS = 3
# Launches that the host may be ahead of the GPU: enough to keep it busy, few enough to stop soon.
AHEAD = 20

Launch = Callable[[], None]


class Capturable(Protocol):
    """Something that can be captured: a function of a batch size that works on its own tensors.

    Attributes:
        tensors: every tensor that a call changes.
    """

    tensors: Sequence[Tensor]

    def __call__(self, size: int) -> None: ...


class Graphs(Protocol):
    """Records calls as graphs."""

    def warm_up(self, call: Launch) -> None:
        """Run a call the way it will be recorded, so that one-time set-up is done."""

    def record(self, call: Launch) -> Launch:
        """Record what a call launches, and return a function that launches it again.

        Raises:
            RuntimeError: the call cannot be captured.
        """


class CudaGraphs:
    """The CUDA graphs of one run on the current device.

    They never run at the same time, so they share a memory pool, which requires that all are
    captured on the same side stream.
    """

    def __init__(self) -> None:
        self.pool, self.side = torch.cuda.graph_pool_handle(), torch.cuda.Stream()
        # A fence that blocks leaves the core to other runs and to loaders while it waits.
        self.recorded, self.launched, self.fence = 0, 0, torch.cuda.Event(blocking=True)

    def warm_up(self, call: Launch) -> None:
        current = torch.cuda.current_stream()
        self.side.wait_stream(current)
        try:
            with torch.cuda.stream(self.side):
                call()
        finally:  # what a failed call has launched ends before tensors are restored
            current.wait_stream(self.side)

    def record(self, call: Launch) -> Launch:
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        before = torch.get_rng_state()
        # cuBLAS keeps a workspace per stream, outside the pool; a graph must share it neither with
        # eager calls nor with an earlier graph.
        torch._C._cuda_clearCublasWorkspaces()
        try:
            # thread_local: a loader thread that pins memory meanwhile must not end the capture.
            with torch.cuda.graph(
                graph, pool=self.pool, stream=self.side, capture_error_mode="thread_local"
            ):
                call()
        except RuntimeError:
            self.renew()
            raise
        finally:
            torch.cuda.set_stream(current)  # a failed capture leaves the side stream current
            torch._C._cuda_clearCublasWorkspaces()
        if not torch.equal(torch.get_rng_state(), before):
            raise RuntimeError("it draws random numbers on the CPU, which a graph would freeze")

        self.recorded += 1

        def launch() -> None:
            graph.replay()
            self.keep_near()

        return launch

    def renew(self) -> None:
        """Leave the pool and, before torch 2.13, the generator of a capture that failed: both still
        count as in it, and would fail the next capture and the next random draw. Earlier graphs
        would draw from the generator left: with any, the next draw fails."""
        self.pool = torch.cuda.graph_pool_handle()
        if torch.__version__ < "2.13" and not self.recorded:
            generator = torch.cuda.default_generators[torch.cuda.current_device()]
            generator.graphsafe_set_state(generator.clone_state())

    def keep_near(self) -> None:
        """Every `AHEAD` launches, wait for all but the last `AHEAD`; the queue never empties."""
        self.launched += 1
        if self.launched % AHEAD == 0:
            self.fence.synchronize()
            self.fence.record()


class Captured:
    """Launches a step from a graph, one graph per batch size.

    Capturing runs the step a few times first, as CUDA graphs require, and then restores every
    tensor it changed, so that the results are those of the eager step. If the step cannot be
    captured, it runs eagerly from then on, with a warning.

    Attributes:
        fault: why the step cannot be captured, or None.
    """

    def __init__(self, step: Capturable, graphs: Graphs):
        self.step, self.graphs = step, graphs
        self.launches: dict[int, Launch] = {}
        self.fault: str | None = None

    def __call__(self, size: int) -> None:
        if size not in self.launches and self.fault is None:
            self.try_capture(size)
        if self.fault is not None:
            self.step(size)
        else:
            self.launches[size]()

    def try_capture(self, size: int) -> None:
        """Capture the step for a batch size, or fall back to running it eagerly."""
        call, saved = partial(self.step, size), [tensor.clone() for tensor in self.step.tensors]
        try:
            # Warm-up and capture must not advance the run's random number generators.
            devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
            with torch.random.fork_rng(devices):
                for _ in range(WARMUP_STEPS):
                    self.graphs.warm_up(call)
                    self.restore(saved)
                self.launches[size] = self.graphs.record(call)
        except torch.OutOfMemoryError:
            raise  # an eager step would fare no better
        except RuntimeError as error:  # includes AcceleratorError, raised by an invalid capture
            if "out of memory" in str(error):  # of a graph or of a kernel's code
                raise
            self.fault = f"it cannot be captured ({str(error).splitlines()[0]})"
            print(f"The step runs eagerly: {self.fault}.", file=sys.stderr)
        self.restore(saved)  # raises again if the error was fatal to the device

    def restore(self, saved: list[Tensor]) -> None:
        """Restore every tensor of the step."""
        with torch.no_grad():
            for tensor, value in zip(self.step.tensors, saved, strict=True):
                tensor.copy_(value)
