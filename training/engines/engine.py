"""How a step is executed: which kernels, and whether captured. The numbers are the recipe's."""

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from training.engines.drawn import Drawn, Gates, Paths
from training.engines.graph import Captured, CudaGraphs, Graphs
from training.engines.replica_step import ReplicaStep
from training.process.device import failure
from training.process.replicas import Replicas
from training.recipe.evaluate import Evaluation
from training.recipe.step import Step
from training.settings.network import build_model, drops_paths, skips
from training.settings.settings import Settings
from training.settings.types import ConfigError

Execute = Callable[[int], None]  # a step, or a batch of an evaluation, given its size


class Engine:
    """The engine of one run on a device.

        eager     layer by layer, as written
        captured  the same, the whole step in one CUDA graph
        fused     our kernels (see `training.engines.fused_residual`), captured

    Attributes:
        name: which it is.
        reason: why it is not the fastest, where a GPU could have that one.

    Args:
        graphs: what captures, instead of CUDA; so a test sees without a GPU what a graph would do.

    Raises:
        ConfigError: what the settings ask for needs what is not here.
    """

    def __init__(
        self,
        settings: Settings,
        device: torch.device,
        replicas: Replicas | None,
        graphs: Graphs | None = None,
    ):
        self.name, self.reason = choose_engine(settings.engine, device, alone=replicas is None)
        self.settings, self.device, self.replicas = settings, device, replicas
        if graphs is None and device.type == "cuda" and self.name != "eager":
            graphs = CudaGraphs()
        self.graphs = graphs

    def build(self, longest: int) -> tuple[nn.Module, list[Drawn]]:
        """The network on the device, with the layers that this engine executes; what is drawn for
        it on the host, if anything.

        Args:
            longest: most iterations between two evaluations.
        """
        model = build_model(self.settings).to(self.device).to(memory_format=torch.channels_last)
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.num_batches_tracked = None  # nobody reads it, and it costs a kernel a layer
        drawn: list[Drawn] = []
        if drops_paths(model):
            drawn.append(Paths(model, seed=self.settings.seed, longest=longest))
        if skips(model) and self.graphs is not None:
            # What the host decides anew in each step cannot be captured.
            drawn.append(Gates(model, seed=self.settings.seed, longest=longest))
        if self.name == "fused":
            from training.engines.fused_residual import fuse

            fuse(model)
        return model, drawn

    def training_step(self, **works_on: Any) -> Execute:
        """The training step; `works_on` are the fields of `training.recipe.step.Step`."""
        if self.replicas is not None:
            return ReplicaStep(**works_on, replicas=self.replicas)
        if self.name != "fused":
            return self.captured(Step(**works_on))
        from training.engines.fused_step import FusedStep

        return self.captured(FusedStep(**works_on))

    def captured(self, step: Step | Evaluation) -> Execute:
        """The same function, captured where this engine captures."""
        return step if self.graphs is None else Captured(step, self.graphs)


def choose_engine(name: str, device: torch.device, *, alone: bool = True) -> tuple[str, str | None]:
    """The engine that a setting names, on a device: `auto` is the fastest that works there.

    With several processes for a run (not `alone`), nothing is captured.

    Returns:
        Its name, and why `auto` is not the fastest one.

    Raises:
        ConfigError: the engine needs what is not here.
    """
    if not alone:
        if name not in ("auto", "eager"):
            raise ConfigError(f"engine={name} is for one process a run; use engine=eager.")
        return "eager", None
    if device.type != "cuda":
        if name not in ("auto", "eager"):
            raise ConfigError(f"engine={name} needs a CUDA GPU; use engine=auto or engine=eager.")
        return "eager", None
    if name not in ("auto", "fused"):
        return name, None
    reason = failure(check_kernels, device)
    if reason is None:
        return "fused", None
    if name == "fused":
        raise ConfigError(f"engine=fused does not work here ({reason}); use engine=auto.")
    print(f"The fused kernels do not work here ({reason}): engine=captured.", file=sys.stderr)
    return "captured", reason


def check_kernels(device: torch.device) -> None:
    """Have our kernels compiled and compared with PyTorch's, once on a machine.

    Raises:
        ImportError: there is no Triton.
        RuntimeError: they do not compile, or differ.
    """
    from training.engines import check

    check.once(device)
