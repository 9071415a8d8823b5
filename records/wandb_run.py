"""Opening a run on Weights & Biases, the same way while it trains and later from its record."""

import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LONGEST = 128  # characters of a name: W&B takes no longer one


def mode() -> Any:
    """W&B mode: WANDB_MODE if set, else `online` with credentials and `offline` without.

    Never prompts.
    """
    import wandb

    if chosen := os.environ.get("WANDB_MODE"):
        return chosen
    return "online" if wandb.login(prompt=False, verify=False) else "offline"


def open_run(
    folder: Path,
    *,
    name: str,
    experiment: str,
    identity: str,
    init_seconds: int,
    finish_seconds: int,
    tags: tuple[str, ...] = (),
    **options: Any,
) -> Any:
    """Open or resume a W&B run.

    Args:
        folder: where W&B keeps its files.
        experiment: `<paper>/<table>/<row>`; becomes the group, with paper and table as tags.
        identity: W&B run id; the same id resumes the same run.
        init_seconds, finish_seconds: timeouts for a server that does not answer.
        tags: additional tags.
        options: further arguments of `wandb.init`.
    """
    import wandb

    os.environ["WANDB_DIR"] = str(folder)  # some versions of wandb ignore dir=
    return wandb.init(
        id=identity,
        name=name if len(name) <= LONGEST else f"{name[:80]}…{name[81 - LONGEST :]}",
        group=experiment,
        tags=[*experiment.split("/")[:2], *tags],
        dir=str(folder),
        resume="allow",
        reinit="create_new",  # multiruns and syncs open several runs in one process
        mode=mode(),
        settings=wandb.Settings(
            init_timeout=init_seconds,
            finish_timeout=finish_seconds,
            finish_timeout_raises=True,
            silent=True,
        ),
        **options,
    )


def reason(error: Exception) -> str:
    """What W&B says went wrong, on a line."""
    return textwrap.shorten(str(error), 200) or type(error).__name__


def named(row: Mapping[Any, float]) -> dict[str, float]:
    """Rename a row of metrics for W&B, `train_loss` to `train/loss`, and drop NaN values."""
    return {str(key).replace("_", "/", 1): value for key, value in row.items() if value == value}
