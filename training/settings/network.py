"""The network named by a config: its class, its arguments, its size."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache, partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from models.fractalnet import DropPath
from models.stochastic_depth import StochasticDepth
from training.settings.settings import Settings
from training.settings.types import ConfigError


def model_class(model: dict[str, Any]) -> type:
    """The class that `_target_` names.

    Raises:
        ConfigError: there is no such class under models/.
    """
    target = str(model.get("_target_"))
    module, _, name = target.rpartition(".")
    try:
        if not module.startswith("models."):
            raise ImportError
        kind = getattr(import_module(module), name)
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
            raise ImportError
        return kind
    except (ImportError, AttributeError):
        raise ConfigError(f"model._target_={target}: no such network under models/.") from None


def model_arguments(model: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the class: everything but `_target_`."""
    return {key: value for key, value in model.items() if key != "_target_"}


def build_model(settings: Settings) -> nn.Module:
    """Build the network of a run, with weights initialised from its seed (on the CPU, so that a
    seed gives the same weights on any device)."""
    torch.manual_seed(settings.seed)
    return model_class(settings.model)(**model_arguments(settings.model))


def rebuilt(settings: Settings, weights: Mapping[str, Tensor], device: torch.device) -> nn.Module:
    """Build the network of a run as in models/, without any engine's changes, and load weights.

    Raises:
        RuntimeError: the weights are those of another network.
    """
    with torch.random.fork_rng([]):
        model = build_model(settings)
    model.load_state_dict(weights)
    return model.to(device).to(memory_format=torch.channels_last)


def dropouts(model: nn.Module) -> tuple[float, ...]:
    """The rates of a network's dropout layers, first to last."""
    return tuple(module.p for module in model.modules() if isinstance(module, nn.Dropout))


def set_dropouts(model: nn.Module, rates: Sequence[float]) -> None:
    """Set the rates of a network's dropout layers, first to last."""
    layers = (module for module in model.modules() if isinstance(module, nn.Dropout))
    for layer, rate in zip(layers, rates, strict=True):
        layer.p = rate


def skips(model: nn.Module) -> bool:
    """Whether the host skips layers in a training step (stochastic depth)."""
    return any(isinstance(module, StochasticDepth) for module in model.modules())


def drops_paths(model: nn.Module) -> bool:
    """Whether a training step draws which columns each join averages (drop-path)."""
    return any(isinstance(module, DropPath) for module in model.modules())


def outline(model: dict[str, Any]) -> nn.Module:
    """A network on the meta device, in evaluation mode: for checks and counts, not to be modified.

    Raises:
        ValueError, TypeError: an argument is impossible.
    """
    return _outline(json.dumps(model))


@lru_cache(maxsize=4)
def _outline(text: str) -> nn.Module:
    model = json.loads(text)
    with torch.device("meta"), Undrawn():
        return model_class(model)(**model_arguments(model)).eval()


class Undrawn(TorchFunctionMode):
    """Skips drawing initial values: without memory there is nothing to draw, yet it would take a
    third of the time."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))


def network_size(settings: Settings) -> dict[str, int]:
    """Parameters, and multiply-adds per image in convolutions and linear layers."""
    params, macs = _size(json.dumps(settings.model), settings.data.size)
    return {"params": params, "macs": macs}


@lru_cache(maxsize=4)  # several data sets share a network
def _size(text: str, pixels: int) -> tuple[int, int]:
    model = _outline(text)
    params = sum(p.numel() for p in model.parameters())
    return params, trace(model, pixels)[0][""]


def trace(model: nn.Module, size: int) -> tuple[dict[str, int], dict[str, torch.Size]]:
    """Multiply-adds for one image, and output shapes, both by module name ("" for the whole
    network)."""
    shapes: dict[str, torch.Size] = {}

    def note(name: str, _: nn.Module, __: tuple[Tensor, ...], output: Any) -> None:
        if isinstance(output, Tensor):
            shapes[name] = output.shape

    with ExitStack() as hooks, FlopCounterMode(display=False) as counter, torch.no_grad():
        for name, module in model.named_modules():
            hooks.enter_context(module.register_forward_hook(partial(note, name)))
        model(torch.empty(1, 3, size, size, device="meta"))
    top = type(model).__name__
    macs = {
        name.removeprefix(top).removeprefix("."): sum(operations.values()) // 2
        for name, operations in counter.get_flop_counts().items()
    }
    return macs | {"": counter.get_total_flops() // 2}, shapes
