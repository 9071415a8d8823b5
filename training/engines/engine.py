"""How a step is executed: with which kernels, and whether captured. The recipe sets the numbers."""

import sys
from collections.abc import Callable

import torch
from torch import nn

from training.engines.agreement import disagreement
from training.engines.convert import convert
from training.engines.drawn import Drawn
from training.engines.graph import Captured, CudaGraphs, Graphs
from training.engines.replica_step import ReplicaStep
from training.process.replicas import Replicas
from training.recipe.evaluate import Evaluation
from training.recipe.step import Step
from training.settings.network import build_model
from training.settings.settings import Settings
from training.settings.types import ConfigError

Execute = Callable[[int], None]  # runs a step, or a batch of an evaluation, of a given size


class Engine:
    """The engine of a run on a device.

        eager     layer by layer, as written
        captured  the same, with the whole step in one CUDA graph
        fused     our kernels (see `training.engines.fused_residual`), captured

    Attributes:
        name: name of the engine.
        reason: why `auto` did not get the fastest engine on a GPU, or None; final after `build`.

    Args:
        graphs: captures steps in place of CUDA graphs, so that tests can emulate a graph on the
            CPU.

    Raises:
        ConfigError: the engine in the settings does not work here.
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
        """Build the network on the device with this engine's layers, and the random values drawn
        for it on the host, if any.

        Args:
            longest: maximum number of iterations between two evaluations.

        Raises:
            ConfigError: see `check`.
        """
        model = build_model(self.settings)
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.num_batches_tracked = None  # unused, and costs a kernel per layer
        self.check(model)
        model = model.to(self.device).to(memory_format=torch.channels_last)
        seed = self.settings.seed
        return model, convert(model, **self.form, seed=seed, longest=longest)

    @property
    def form(self) -> dict[str, bool]:
        """Which layers `convert` replaces."""
        return {"fused": self.name == "fused", "captured": self.graphs is not None}

    def check(self, model: nn.Module) -> None:
        """Fall back to the next slower engine while the layers of this one are not those of the
        network.

        Raises:
            ConfigError: the settings ask for this engine, or there is none slower.
        """
        while reason := disagreement(model, self.settings.data.size, **self.form):
            if self.name in ("eager", self.settings.engine):
                hint = "" if self.name == "eager" else "; use engine=auto"
                raise ConfigError(f"engine={self.name}: {reason}{hint}.")
            slower = "captured" if self.name == "fused" else "eager"
            print(f"Not {self.name}, since {reason}: engine={slower}.", file=sys.stderr)
            self.name, self.reason = slower, reason
            if slower == "eager":
                self.graphs = None

    def executed(self, step: Step) -> Execute:
        """The training step as this engine executes it."""
        if self.replicas is not None:
            return ReplicaStep(**vars(step), replicas=self.replicas)
        if self.name != "fused":
            return self.captured(step)
        from training.engines.fused_step import FusedStep

        return self.captured(FusedStep(**vars(step)))

    def captured(self, step: Step | Evaluation) -> Execute:
        """Return the step, captured if this engine captures."""
        return step if self.graphs is None else Captured(step, self.graphs)


def choose_engine(name: str, device: torch.device, *, alone: bool = True) -> tuple[str, str | None]:
    """Choose the engine for a setting and a device: `auto` is the fastest that works there.

    Runs of several processes (not `alone`) use the eager engine.

    Returns:
        Its name, and why `auto` is not the fastest engine of a GPU, or None.

    Raises:
        ConfigError: the engine does not work here.
    """
    if not alone:
        if name not in ("auto", "eager"):
            raise ConfigError(f"engine={name} supports one process per run only; use engine=eager.")
        return "eager", None
    if device.type != "cuda":
        if name not in ("auto", "eager"):
            raise ConfigError(f"engine={name} needs a CUDA GPU; use engine=auto or engine=eager.")
        return "eager", None
    if name not in ("auto", "fused"):
        return name, None
    reason = _kernel_fault(device)
    if reason is None:
        return "fused", None
    if name == "fused":
        raise ConfigError(f"engine=fused does not work here ({reason}); use engine=auto.")
    print(f"The fused kernels do not work here ({reason}): engine=captured.", file=sys.stderr)
    return "captured", reason


def _kernel_fault(device: torch.device) -> str | None:
    """Why our kernels do not work on a GPU, in one line; None if they do."""
    try:
        from training.engines import check  # fails without Triton

        check.once(device)
    except torch.OutOfMemoryError:
        raise  # says nothing about the kernels
    except Exception as error:  # whatever a compiler may raise
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    return None
