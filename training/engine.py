"""How a step is executed: which kernels, and whether captured. The numbers are the recipe's."""

import sys
from importlib.util import find_spec

import torch
from torch import nn

from models.densenet import DenseLayer, Transition
from models.residual import ResidualUnit
from training.settings import ConfigError
from training.step import Step

ENGINES = ("auto", "eager", "captured", "compiled", "fused")


def choose_engine(name: str, device: torch.device) -> str:
    """The engine that a setting names, on a device: `auto` is the fastest that works there.

        eager     layer by layer, as written
        captured  the same, the whole step in one CUDA graph
        compiled  every unit or dense layer compiled by torch.compile; captured on a GPU
        fused     our kernels (see `training.fused`), captured

    Raises:
        ConfigError: the engine needs what is not here.
    """
    cuda = device.type == "cuda"
    if name == "auto":
        return "eager" if not cuda else "fused" if kernels_work(device) else "captured"
    if name in ("captured", "fused") and not cuda:
        raise ConfigError(f"engine={name} needs a CUDA GPU; use engine=auto or engine=eager.")
    if name == "fused" and find_spec("triton") is None:
        raise ConfigError("engine=fused needs Triton; install it, or use engine=captured.")
    return name


def kernels_work(device: torch.device) -> bool:
    """Whether our kernels compile on a GPU, and give what PyTorch gives; says so if not."""
    try:
        from training.kernels.check import check

        check(device)
    except Exception as error:  # whatever a compiler may raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        print(f"The fused kernels do not work here ({reason}): engine=captured.", file=sys.stderr)
        return False
    return True


def prepare(model: nn.Module, engine: str) -> None:
    """Exchange or compile the layers of a network, in place, as an engine wants them."""
    if engine == "fused":
        from training.fused import fuse

        fuse(model)
    elif engine == "compiled":
        # Only the repeated blocks: equal ones share their code, so depth costs no compile time.
        for module in model.modules():
            if isinstance(module, ResidualUnit | DenseLayer | Transition):
                module.compile(dynamic=False)


def step_kind(engine: str) -> type[Step]:
    """The class of an engine's training step."""
    if engine != "fused":
        return Step
    from training.fused_step import FusedStep

    return FusedStep
