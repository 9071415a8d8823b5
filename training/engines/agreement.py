"""Whether the fused form of a network is still that network.

`training.engines.fused_residual` knows what the units and blocks in models/ compute, and does it in
other ways. Once someone changes a unit, its fused form would train the old one.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from training.engines.fused_residual import fuse
from training.engines.kernels.norm_act import NormAct
from training.settings.network import dropouts, set_dropouts

TOLERANCE = 1e-6  # of double precision


def disagreement(network: nn.Module, size: int) -> str | None:
    """What is wrong with the fused form of a network, or None if it computes the same.

    Both forms see two random images in training mode, in double precision, without dropout and
    with plain operations in place of the kernels, which `training.engines.check` compares.

    Args:
        network: as in models/, on the CPU; it is left as it is.
        size: pixels on a side of its images.
    """
    expected = _computed(deepcopy(network).double(), size)
    try:
        fused = fuse(deepcopy(network).double())
        for module in fused.modules():
            if isinstance(module, NormAct):
                module.plain = True
        found = _computed(fused, size)
    except Exception as error:  # whatever a unit that it does not know may raise
        reason = (str(error).splitlines() or [""])[0]
        return f"the fused layers do not take this network ({type(error).__name__}: {reason})"
    if unlike := sorted(expected.keys() ^ found.keys()):
        return f"the fused layers do not have the network's {unlike[0]}"
    for name, value in expected.items():
        alike = found[name].shape == value.shape
        if not alike or not (found[name] - value).norm() <= TOLERANCE * value.norm():
            return f"the fused layers compute another {name} than the network"
    return None


@torch.no_grad()
def _computed(network: nn.Module, size: int) -> dict[str, Tensor]:
    """Logits and extra outputs of a network, and its state after the forward pass, by name."""
    set_dropouts(network, [0.0] * len(dropouts(network)))
    with torch.random.fork_rng([]):
        torch.manual_seed(0)  # also for the layers that stochastic depth or drop-path leave out
        outputs = network.train()(torch.randn(2, 3, size, size).double())
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    named = {f"output {number}": output for number, output in enumerate(outputs, 1)}
    return named | {k: v for k, v in network.state_dict().items() if v.is_floating_point()}
