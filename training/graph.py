"""A training step captured in CUDA graphs: launched whole, with nothing left to do on the host."""

import sys
from copy import deepcopy

import torch

from training.step import Step

WARMUP_STEPS = 3
# Launches the host may be ahead of the GPU: enough to keep it busy, few enough to stop soon.
AHEAD = 20


class CapturedStep:
    """Replays a `Step` from a CUDA graph, one graph for each batch size that occurs.

    Capturing runs the step a few times first, as CUDA graphs ask for, and then restores every
    tensor it changed, so the results are those of the eager step. Where the step cannot be
    captured it runs eagerly from then on, with a warning.
    """

    def __init__(self, step: Step):
        self.step = step
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
        saved = self.snapshot()
        try:
            # What warming up and capturing draw is drawn beside the run's own numbers.
            devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
            with torch.random.fork_rng(devices):
                self.graphs[size] = self.capture(size)
        except (torch.OutOfMemoryError, torch.AcceleratorError):
            raise  # an eager step would fare no better
        except RuntimeError as error:
            self.eager = True
            reason = str(error).splitlines()[0]
            print(f"The step runs eagerly: it cannot be captured ({reason}).", file=sys.stderr)
        self.restore(saved)

    def capture(self, size: int) -> torch.cuda.CUDAGraph:
        """Record one step of a batch size; leaves behind what the warm-up steps changed."""
        rates = [group["lr"] for group in self.step.optimizer.param_groups]
        assert all(isinstance(lr, torch.Tensor) and lr.is_cuda for lr in rates), "lr is baked in"
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARMUP_STEPS):
                self.step(size)
                self.step.batches.position.zero_()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=side):
            self.step(size)
        return graph

    def state(self) -> list[torch.Tensor]:
        """Every tensor a step changes, momentum excepted."""
        step = self.step
        return [*step.model.state_dict().values(), step.sums, step.batches.position]

    def snapshot(self) -> tuple[list[torch.Tensor], dict]:
        tensors = [tensor.clone() for tensor in self.state()]
        return tensors, {k: deepcopy(v) for k, v in self.step.optimizer.state.items()}

    def restore(self, saved: tuple[list[torch.Tensor], dict]) -> None:
        tensors, momentum = saved
        for tensor, value in zip(self.state(), tensors, strict=True):
            tensor.copy_(value)
        for parameter, state in self.step.optimizer.state.items():
            # Before the first step there is no momentum; zero momentum gives the same first update.
            before = momentum.get(parameter, {}).get("momentum_buffer")
            buffer = state.get("momentum_buffer")
            if buffer is not None:
                buffer.zero_() if before is None else buffer.copy_(before)
