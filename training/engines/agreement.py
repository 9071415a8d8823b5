"""Whether a network with the layers of an engine is still that network.

`training.engines.convert` knows what layers in models/ compute, and does it in other ways. Once
someone changes such a layer, its counterpart would train the old one.
"""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from data.order import derived_seed
from training.engines.convert import convert, converts
from training.engines.drawn import Drawn
from training.settings.network import dropouts, set_dropouts

TOLERANCE = 1e-6  # of double precision


def disagreement(network: nn.Module, size: int, *, fused: bool, captured: bool) -> str | None:
    """What is wrong with an engine's form of a network, or None if it computes the same.

    Both forms see two random images, first in training, then in evaluation, in double precision,
    with the same draws of stochastic depth and drop-path, without dropout, and with plain
    operations in place of the kernels, which `training.engines.check` compares.

    Args:
        network: as in models/, on the CPU; it is left as it is.
        size: pixels on a side of its images.
        fused, captured: see `convert`.
    """
    if not converts(network, fused=fused, captured=captured):
        return None
    layers = "fused layers" if fused else "layers of the engine"
    try:
        form = deepcopy(network).double()
        drawn = convert(form, fused=fused, captured=captured, seed=0, longest=1)
        if fused:
            use_plain_operations(form)
        found = _computed(form, size, drawn)
    except Exception as error:  # whatever a layer that it does not know may raise
        reason = (str(error).splitlines() or [""])[0]
        return f"the {layers} do not take this network ({type(error).__name__}: {reason})"
    expected = _computed(deepcopy(network).double(), size)
    if unlike := sorted(expected.keys() ^ found.keys()):
        return f"the {layers} do not have the network's {unlike[0]}"
    for name, value in expected.items():
        alike = found[name].shape == value.shape
        if not alike or not (found[name] - value).norm() <= TOLERANCE * value.norm():
            return f"the {layers} compute another {name} than the network"
    return None


def use_plain_operations(model: nn.Module) -> None:
    """Replace the kernels of a fused network by plain operations."""
    from training.engines.kernels.norm_act import NormAct  # needs Triton

    for module in model.modules():
        if isinstance(module, NormAct):
            module.plain = True


@torch.no_grad()
def _computed(network: nn.Module, size: int, drawn: Sequence[Drawn] = ()) -> dict[str, Tensor]:
    """Outputs of a network in both modes, and its state after a forward pass, by name; what has
    overflowed is as large as can be, so that it can be compared."""
    set_dropouts(network, [0.0] * len(dropouts(network)))
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0)).double()
    for values in drawn:
        values.begin(0, 1)
        values.before_forward()
    with torch.random.fork_rng([]):
        torch.manual_seed(derived_seed(0, 0))  # as the values in `drawn`
        outputs = network.train()(images)
    for values in drawn:
        values.after_backward()
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    named = {f"output {number}": output for number, output in enumerate(outputs, 1)}
    named |= {k: v for k, v in network.state_dict().items() if v.is_floating_point()}
    named |= {"output in evaluation": network.eval()(images)}
    return {name: value.nan_to_num() for name, value in named.items()}
