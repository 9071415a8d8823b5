"""Weights files: exported in float16, read back from safetensors or torch state dicts."""

import hashlib
import json
import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from records.exits import UserError
from records.files import write_atomically

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
ABOUT = "residual-to-dense"  # the metadata entry that holds a file's description
LONGEST = 200  # characters of torch's reason shown in a message


class WeightsError(UserError):
    """A weights file is missing, not a weights file, or of another network."""


def export(
    weights: Mapping[str, Tensor], path: Path, about: Mapping[str, str] | None = None
) -> str:
    """Write weights as safetensors: float16, with normalisation statistics in float32.

    Args:
        about: the description kept in the file, see `training.weights.description`.

    Returns:
        The SHA-256 of the file.

    Raises:
        OSError: it could not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A single entry: safetensors keeps no order of several, and a run must always give equal bytes.
    metadata = {ABOUT: json.dumps(dict(about), sort_keys=True)} if about else None
    # Not by safetensors' own writer, which raises no OSError when the disk is full.
    content = save(exported(weights), metadata=metadata)
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def exported(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an exported file, without the batch counters of normalisation."""
    return {
        name: (tensor if "running_" in name else tensor.half()).detach().cpu().contiguous()
        for name, tensor in weights.items()
        if not name.endswith("num_batches_tracked")
    }


def load_weights(model: nn.Module, path: Path) -> bool:
    """Load a safetensors file, a torch state dict or a checkpoint of this suite into a network.

    If no name is ours, tensors are matched by kind, shape and order.

    Returns:
        Whether the names were ours.

    Raises:
        WeightsError: the file is missing or damaged, or its tensors are not this network's.
    """
    tensors = read_tensors(path)
    expected = model.state_dict()
    expected = {k: v for k, v in expected.items() if not k.endswith("num_batches_tracked")}
    tensors = {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}
    ours = bool(expected.keys() & tensors.keys())
    if not ours:
        tensors = by_order(expected, tensors, sort=path.suffix == ".safetensors")
    try:
        model.load_state_dict(tensors)  # torch itself supplies batch counters
    except RuntimeError as error:
        reason = ascii(str(error).splitlines()[1].strip())[1:-1]  # the first of several
        raise WeightsError(
            f"{path} holds weights of another network than the one named: {reason[:LONGEST]}\n"
            "Name the row they belong to with experiment=..."
        ) from None
    return ours


def by_order(
    expected: Mapping[str, Tensor], tensors: dict[str, Tensor], *, sort: bool
) -> dict[str, Tensor]:
    """Rename tensors from other code to our names; return them unchanged if a shape does not match.

    Within each kind (convolution, normalisation or classifier; weight, bias, mean or variance) they
    are taken in the order of the layers: that of the file, or of the names, with layer2 before
    layer10. torchvision's ResNets and DenseNets have their layers in our order.

    Args:
        sort: use the order of the names, for a file format that keeps none, such as safetensors.
    """
    names = sorted(tensors, key=_natural) if sort else list(tensors)
    theirs = _kinds(names, tensors)
    matched: dict[str, Tensor] = {}
    for kind, names in _kinds(list(expected), expected).items():
        others = theirs.pop(kind, [])
        shapes = zip(names, others, strict=False)
        if len(names) != len(others) or any(
            expected[a].shape != tensors[b].shape for a, b in shapes
        ):
            return tensors
        matched |= {name: tensors[other] for name, other in zip(names, others, strict=True)}
    return tensors if theirs else matched


def _kinds(names: Sequence[str], tensors: Mapping[str, Tensor]) -> dict[tuple[str, int], list[str]]:
    """Group names by their last component and the number of dimensions of their layer's weight."""
    kinds: dict[tuple[str, int], list[str]] = {}
    for name in names:
        layer, _, word = name.rpartition(".")
        weight = tensors.get(f"{layer}.weight", tensors[name])
        kinds.setdefault((word, weight.ndim), []).append(name)
    return kinds


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key that puts layer2 before layer10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the named tensors of a weights file, as float32.

    Raises:
        WeightsError: the file is missing, damaged, or not a weights file, or holds tensors that
            cannot be weights.
    """
    if not path.is_file():
        raise WeightsError(f"No weights file {path}.")
    content = read_content(path)
    averages: dict[str, Any] = {}  # which evaluations of a checkpoint of ours use
    for wrapper in ("state", "trainer", "model", "net", "model_state_dict", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            averages = content.get("average", {}) if wrapper == "model" else averages
            content = content[wrapper]
    if isinstance(averages, dict) and isinstance(content, dict):
        content = content | {name: averages[name] for name in content.keys() & averages.keys()}
    named = isinstance(content, dict) and all(isinstance(key, str) for key in content)
    if not named or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(
            f"{path} is not a weights file (safetensors, or a torch state dict of tensors only)."
        )
    for name, tensor in content.items():
        if not name.endswith("num_batches_tracked") and not _is_plain(tensor):
            kind = f"{tensor.dtype}, {tensor.layout}, on {tensor.device}"
            raise WeightsError(
                f"{path} holds {ascii(name)[:100]} ({kind}), where weights are float16, bfloat16, "
                "float32 or float64, with all their values.\n"
                "Convert it to one of these where it was written."
            )
    names = [name.removeprefix("module.") for name in content]
    if len(set(names)) < len(names):
        raise WeightsError(f"{path} holds weights twice: with and without `module.` in front.")
    return {k: v.float() for k, v in zip(names, content.values(), strict=True)}


def read_content(path: Path) -> Any:
    """What a safetensors file, a torch state dict or a checkpoint holds; None if unreadable."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, KeyError, ValueError, OSError, IndexError,
            AttributeError, TypeError, pickle.UnpicklingError, zipfile.BadZipFile):  # fmt: skip
        return None


def not_finite(path: Path) -> str:
    """The message for weights whose outputs or loss are not finite."""
    return f"{path} gives no finite loss: damaged, or of another network."


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor has one of the types in `FLOATS` and stores a value for each element."""
    if tensor.dtype not in FLOATS or tensor.layout != torch.strided or tensor.device.type != "cpu":
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
