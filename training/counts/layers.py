"""An ImageNet network layer by layer, as the papers' architecture tables list it."""

from typing import Any

from torch import nn

from models.densenet import DenseBlock, Transition
from training.settings.network import outline, trace
from training.settings.settings import Settings


def describe(settings: Settings) -> list[dict[str, object]]:
    """Name, output size, structure, parameters and multiply-adds of every layer or stage.

    Normalisation counts towards the convolution it follows, or the classifier at the end. The
    structure is worded as in He et al. 2015, Table 1, or Huang et al. 2017, Table 1.
    """
    model: Any = outline(settings.model)
    parts, (macs, shapes) = named_parts(model), trace(model, settings.data.size)
    params = {name: sum(p.numel() for p in part.parameters()) for name, (_, part) in parts.items()}
    params["conv1"] += sum(p.numel() for p in model.stem.norm1.parameters())
    params["classifier"] += sum(p.numel() for p in model.activation.parameters())
    return [
        {
            "layer": name,
            "output": "x".join(map(str, shapes[path][2:])) or "1x1",
            "structure": structure(part),
            "params": params[name],
            "macs": macs.get(path, 0),
        }
        for name, (path, part) in parts.items()
    ]


def named_parts(model: Any) -> dict[str, tuple[str, nn.Module]]:
    """The layers and stages of an ImageNet network by name, each with its path in the module."""
    parts = {"conv1": ("stem.conv1", model.stem.conv1), "pool1": ("stem.pool", model.stem.pool)}
    for name, stage in model.stages.named_children():
        layer = f"conv{int(name) + 2}_x" if name.isdecimal() else name
        parts[layer] = (f"stages.{name}", stage)
    parts["classifier"] = ("classifier", model.classifier)
    return parts


def structure(part: nn.Module) -> str:
    """The structure of a layer or stage, worded as in the papers' tables."""
    if isinstance(part, nn.Conv2d):
        return f"{_kernel(part)}, {part.out_channels}, stride {part.stride[0]}"
    if isinstance(part, nn.MaxPool2d):
        return f"{part.kernel_size}x{part.kernel_size} max pool, stride {part.stride}"
    if isinstance(part, nn.Linear):
        return f"average pool, {part.out_features}-d fc"
    if isinstance(part, Transition):
        size = part.pool.kernel_size
        return f"{_convs(part)}; {size}x{size} average pool, stride {part.pool.stride}"
    if isinstance(part, DenseBlock):
        layers = list(part.layers)
        return f"[{_convs(layers[0])}] x {len(layers)}"
    units: list[Any] = list(part.children())  # a stage of residual units
    return f"[{_convs(units[-1].branch, widths=True)}] x {len(units)}"


def _convs(module: nn.Module, *, widths: bool = False) -> str:
    convs = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    return "; ".join(
        f"{_kernel(conv)}, {conv.out_channels}" if widths else f"{_kernel(conv)} conv"
        for conv in convs
    )


def _kernel(conv: nn.Conv2d) -> str:
    return "x".join(map(str, conv.kernel_size))
