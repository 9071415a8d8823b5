"""How a step is executed: which kernels, and whether captured. The numbers are the recipe's."""

import sys
from collections.abc import Callable

import torch
from torch import nn

from models.densenet import DenseLayer, Transition
from models.residual import ResidualUnit
from training.settings import ConfigError
from training.step import Step

ENGINES = ("auto", "eager", "captured", "compiled", "fused")


def choose_engine(name: str, device: torch.device, *, alone: bool = True) -> str:
    """The engine that a setting names, on a device: `auto` is the fastest that works there.

        eager     layer by layer, as written
        captured  the same, the whole step in one CUDA graph
        compiled  every unit or dense layer compiled by torch.compile; captured on a GPU
        fused     our kernels (see `training.fused`), captured

    With several processes for a run (not `alone`), nothing is captured.

    Raises:
        ConfigError: the engine needs what is not here.
    """
    cuda = device.type == "cuda"
    if not alone:
        if name not in ("auto", "eager"):
            raise ConfigError(f"engine={name} is for one process a run; use engine=eager.")
        return "eager"
    if name == "auto":
        if not cuda:
            return "eager"
        reason = failure(check_kernels, device)
        if reason is not None:
            print(
                f"The fused kernels do not work here ({reason}): engine=captured.", file=sys.stderr
            )
        return "fused" if reason is None else "captured"
    if name in ("captured", "fused") and not cuda:
        raise ConfigError(f"engine={name} needs a CUDA GPU; use engine=auto or engine=eager.")
    checks = {"fused": check_kernels, "compiled": check_compiler}
    reason = failure(checks[name], device) if name in checks else None
    if reason is not None:
        raise ConfigError(f"engine={name} does not work here ({reason}); use engine=auto.")
    return name


def failure(check: Callable[[torch.device], object], device: torch.device) -> str | None:
    """Why a check does not pass, in a line; None where it does."""
    try:
        check(device)
    except Exception as error:  # whatever a compiler may raise
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    return None


def check_kernels(device: torch.device) -> None:
    """Compile our kernels, and compare what they give with what PyTorch gives."""
    from training.kernels.check import check

    check(device)


def check_compiler(device: torch.device) -> None:
    """Compile something with torch.compile, which needs a C++ compiler or Triton."""
    torch.compile(torch.neg)(torch.ones(2, device=device))


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
