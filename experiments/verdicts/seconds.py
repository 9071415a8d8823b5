"""What a run took without the time for which it was suspended (Ctrl-Z, a scheduler that makes
room), in which its clock goes on."""

import pandas as pd

SUSPENDED = 3  # times the usual seconds, beyond which a run cannot have trained all the time


def active(seconds: float, metrics: pd.DataFrame) -> float:
    """Seconds of training, of which a stretch between two evaluations that took many times its
    share is taken at the run's usual pace."""
    stretches = metrics[["seconds", "iteration"]].diff().fillna(metrics.iloc[0])
    usual = stretches["iteration"] * (stretches["seconds"] / stretches["iteration"]).median()
    lost = (stretches["seconds"] - usual)[stretches["seconds"] > SUSPENDED * usual]
    return float(seconds - lost.sum())
