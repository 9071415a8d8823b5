"""Training time without suspensions (Ctrl-Z, a scheduler making room), in which a run's clock keeps
running."""

import pandas as pd

SUSPENDED = 3  # multiple of the usual seconds beyond which a run must have been suspended


def active(seconds: float, metrics: pd.DataFrame) -> float:
    """Seconds of training, counting any stretch between two evaluations that took over `SUSPENDED`
    times its usual seconds at the run's usual pace."""
    stretches = metrics[["seconds", "iteration"]].diff().fillna(metrics.iloc[0])
    usual = stretches["iteration"] * (stretches["seconds"] / stretches["iteration"]).median()
    lost = (stretches["seconds"] - usual)[stretches["seconds"] > SUSPENDED * usual]
    return float(seconds - lost.sum())
