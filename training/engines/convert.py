"""The layers of an engine in place of those in models/."""

from torch import nn

from training.engines.drawn import Drawn, Gates, Paths
from training.settings.network import drops_paths, skips


def converts(model: nn.Module, *, fused: bool, captured: bool) -> bool:
    """Whether `convert` may replace layers of a network."""
    return fused or drops_paths(model) or (captured and skips(model))


def convert(
    model: nn.Module, *, fused: bool, captured: bool, seed: int, longest: int
) -> list[Drawn]:
    """Replace layers of a network in place, and return the random values drawn for them on the
    host, if any.

    Args:
        fused: whether our kernels replace plain layers.
        captured: whether the host makes no decision within a step, as in a CUDA graph.
        longest: maximum number of iterations drawn at once.
    """
    drawn: list[Drawn] = []
    if drops_paths(model):
        drawn.append(Paths(model, seed=seed, longest=longest))
    if captured and skips(model):
        drawn.append(Gates(model, seed=seed, longest=longest))
    if fused:
        from training.engines.fused_residual import fuse  # needs Triton

        fuse(model)
    return drawn
