"""A run on Weights & Biases, opened alike while it is trained and from its record afterwards."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def mode() -> Any:
    """As WANDB_MODE says, else `online` where credentials are at hand; never a prompt."""
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
    """Open a run there, or go on with it.

    Args:
        folder: where W&B keeps its files.
        experiment: `<paper>/<table>/<row>`; becomes the group, its paper and table the tags.
        identity: by which it is known there: the same run again when it is opened again.
        init_seconds, finish_seconds: what a server that does not answer may cost.
        tags: more of them; `options`: more of what `wandb.init` takes.
    """
    import wandb

    os.environ["WANDB_DIR"] = str(folder)  # some versions ignore dir=
    return wandb.init(
        id=identity,
        name=name,
        group=experiment,
        tags=[*experiment.split("/")[:2], *tags],
        dir=str(folder),
        resume="allow",
        reinit="create_new",  # a multirun, and a sync, open several in one process
        mode=mode(),
        settings=wandb.Settings(
            init_timeout=init_seconds,
            finish_timeout=finish_seconds,
            finish_timeout_raises=True,
            silent=True,
        ),
        **options,
    )


def named(row: Mapping[Any, float]) -> dict[str, float]:
    """A row of metrics as W&B shows them, `train_loss` as `train/loss`; what was not measured is
    left out."""
    return {str(key).replace("_", "/", 1): value for key, value in row.items() if value == value}
