"""What Huang et al. 2017 read off their Fig. 5, as numbers of an analysis of reuse.

A frame has a line for each `block`, `target` (a layer, or what follows the block) and `source` (a
layer before it, 0 for the block's input), and the mean magnitude of the `weight` between them.
"""

import pandas as pd


def weight_spread(reuse: pd.DataFrame) -> float:
    """The share of its sources that a target uses in effect, on average: 1 where all get the same
    weight, 1 / n where one of n gets all (the participation ratio, over n)."""
    return float(_targets(reuse)["weight"].agg(_participation).mean())


def transition_least(reuse: pd.DataFrame) -> float:
    """The share of the targets in the blocks after the first that give the least of all their
    weights to the output of the transition before their block."""
    after = _targets(reuse[reuse["block"] > 1])
    least = after.apply(lambda lines: lines.set_index("source")["weight"].idxmin() == 0)
    return float(least.mean())


def _targets(reuse: pd.DataFrame) -> "pd.api.typing.DataFrameGroupBy":
    """The lines of each target that has a choice of sources."""
    choice = reuse.groupby(["block", "target"])["source"].transform("size") > 1
    return reuse[choice].groupby(["block", "target"])


def _participation(weights: pd.Series) -> float:
    return float(weights.sum() ** 2 / (weights**2).sum() / len(weights))
