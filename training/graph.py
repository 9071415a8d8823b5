"""A training step captured in CUDA graphs: launched whole, with nothing left to do on the host."""

import sys
from copy import deepcopy

import torch

from training.step import Step

WARMUP_STEPS = 3


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

    def __call__(self, size: int) -> None:
        if size not in self.graphs and not self.eager:
            self.try_capture(size)
        if self.eager:
            self.step(size)
        else:
            self.graphs[size].replay()

    def try_capture(self, size: int) -> None:
        saved = self.snapshot()
        try:
            self.graphs[size] = self.capture(size)
        except RuntimeError as error:
            self.eager = True
            reason = str(error).splitlines()[0]
            print(f"The step runs eagerly: it cannot be captured ({reason}).", file=sys.stderr)
        self.restore(saved)

    def capture(self, size: int) -> torch.cuda.CUDAGraph:
        """Record one step of a batch size; leaves behind what the warm-up steps changed."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARMUP_STEPS):
                self.step(size)
                self.step.batches.position.zero_()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
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
            if before is None:
                state["momentum_buffer"].zero_()
            else:
                state["momentum_buffer"].copy_(before)
