"""Weights & Biases as a mirror of the record: never its source, never why a run fails."""

import atexit
import os
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from records.record import Row
from training.settings.settings import Logger

# What a server that does not answer may cost a run, at its start and at its end.
INIT_SECONDS, FINISH_SECONDS = 12, 12


class Tracker:
    """Mirrors a run to Weights & Biases, or does nothing (logger `none`).

    Online where logged in, offline otherwise, or as WANDB_MODE says. Whatever goes wrong is
    warned of once; from then on nothing is mirrored.

    Args:
        experiment: `<paper>/<table>/<row>`; becomes the group, its paper and table the tags.
        name: of the run.
        folder: of the run; its tracking files go there.
        config: the resolved configuration.
    """

    def __init__(
        self, logger: Logger, experiment: str, name: str, folder: Path, config: dict[str, Any]
    ):
        self.run: Any = None
        if logger.name == "wandb":
            self.guarded(lambda: self.start(logger, experiment, name, folder, config))

    def start(
        self, logger: Logger, experiment: str, name: str, folder: Path, config: dict[str, Any]
    ) -> None:
        import wandb

        identity = folder / "wandb.id"  # the same run again when it is resumed
        if not identity.exists():
            identity.write_text(secrets.token_hex(6))
        os.environ["WANDB_DIR"] = str(folder)  # some versions ignore dir=
        self.run = wandb.init(
            project=logger.project,
            entity=logger.entity,
            id=identity.read_text(),
            name=name,
            group=experiment,
            tags=experiment.split("/")[:2],
            config=config,
            dir=str(folder),
            resume="allow",
            reinit="create_new",  # a multirun trains several in one process
            mode=_mode(wandb),
            settings=wandb.Settings(
                init_timeout=INIT_SECONDS,
                finish_timeout=FINISH_SECONDS,
                finish_timeout_raises=True,
                silent=True,
            ),
        )
        if self.run.settings.mode == "offline":
            print(f"W&B: offline; `wandb sync {folder}/wandb/offline-run-*` uploads the run later.")

    def log(self, row: Row) -> None:
        """Mirror a row of metrics, `train_loss` as `train/loss`."""
        if self.run is not None:
            metrics = {key.replace("_", "/", 1): value for key, value in row.items()}
            self.guarded(lambda: self.run.log(metrics, step=int(row["iteration"])))

    def finish(self, summary: dict[str, Any], code: int = 0) -> None:
        """Mirror the summary and close the run with an exit code."""
        if self.run is not None:
            self.guarded(lambda: self.run.summary.update(summary))
        if self.run is not None:
            self.guarded(lambda: self.run.finish(exit_code=code))
        self.run = None

    def guarded(self, action: Callable[[], Any]) -> None:
        """Do something with the tracking run, and give tracking up if that fails."""
        try:
            action()
        except Exception as error:  # whatever it is, it must not reach the run
            self.run = None
            atexit.register(_let_go)  # runs before W&B's own, which would print a traceback
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            print(f"W&B: {reason}. The run goes on without it.", file=sys.stderr)


def _let_go() -> None:
    """Take leave of a W&B whose service may be dead."""
    wandb = sys.modules.get("wandb")
    if wandb is not None:
        with suppress(Exception):
            wandb.teardown()


def _mode(wandb: Any) -> Any:
    """`online` where credentials are at hand; never a prompt."""
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    return "online" if wandb.login(prompt=False, verify=False) else "offline"
