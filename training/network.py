"""The network that a configuration names: its class, its arguments, its size."""

from importlib import import_module
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from training.settings import ConfigError, Settings


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
        return getattr(import_module(module), name)
    except (ImportError, AttributeError):
        raise ConfigError(f"model._target_={target}: no such network under models/.") from None


def model_arguments(model: dict[str, Any]) -> dict[str, Any]:
    """What the class is built with: everything but its name."""
    return {key: value for key, value in model.items() if key != "_target_"}


def build_model(settings: Settings) -> nn.Module:
    """The network of a run, its weights started from the run's seed (on the CPU, so that the
    same seed means the same start on any device)."""
    torch.manual_seed(settings.seed)
    return model_class(settings.model)(**model_arguments(settings.model))


def network_size(settings: Settings) -> dict[str, int]:
    """Parameters, and multiply-adds of one image in convolutions and linear layers."""
    with torch.device("meta"):
        model = model_class(settings.model)(**model_arguments(settings.model)).eval()
        image = torch.empty(1, 3, settings.data.size, settings.data.size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    params = sum(p.numel() for p in model.parameters())
    return {"params": params, "macs": counter.get_total_flops() // 2}
