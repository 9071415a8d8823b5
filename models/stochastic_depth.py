"""Stochastic depth (Huang et al. 2016, Section 3)."""

import torch
from torch import Tensor, nn

from models.layers import choose

RULES = ("linear", "uniform")


class StochasticDepth(nn.Module):
    """A residual branch that survives a mini-batch with probability p and is otherwise skipped.

    In training, the branch or 0 (Huang et al. 2016, eq. 2), with one draw per mini-batch from
    PyTorch's default generator on the CPU; a skipped branch is not computed, so its normalisation
    statistics do not change and its weights get no gradient. In evaluation, p times the branch
    (eq. 5).
    """

    def __init__(self, branch: nn.Module, survival: float):
        super().__init__()
        self.branch, self.survival = branch, survival

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.survival * self.branch(x)
        if torch.rand(()) < self.survival:
            return self.branch(x)
        return x.new_zeros(())


def survival_probabilities(units: int, last: float, rule: str) -> list[float]:
    """Survival probability of every unit of a network, first to last.

    Args:
        last: p_L, the probability of the last unit.
        rule: `linear` (Huang et al. 2016, eq. 4: p_l = 1 - l / L (1 - p_L)) or `uniform`.

    Raises:
        ValueError: `last` is not in (0, 1], or the rule is unknown.
    """
    choose("survival_rule", rule, RULES)
    if not 0 < last <= 1:
        raise ValueError(f"survival={last} is not in (0, 1]; 1 is constant depth")
    if rule == "uniform":
        return [last] * units
    return [1 - unit / units * (1 - last) for unit in range(1, units + 1)]
