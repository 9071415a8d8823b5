"""Weights & Biases as a mirror of the record: never its source, never a reason to fail."""

import atexit
import os
import secrets
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

from records.exits import DIVERGED
from records.files import make_folder
from records.names import FULL
from records.record import Record, Row, summary_of
from records.wandb_run import named, open_run, reason
from training.runs.named import NamedRun
from training.settings.identity import recorded_settings

# The longest that an unresponsive server may delay a run, at its start and at its end.
INIT_SECONDS, FINISH_SECONDS = 12, 12


class Tracker:
    """Mirrors a run to Weights & Biases, or does nothing (logger `none`).

    Online if logged in, else offline, unless WANDB_MODE says otherwise. After the first failure,
    which is reported, nothing is mirrored. Its files go to the run's working folder.

    Attributes:
        absent: whether a run could not be opened: later runs of this process do not wait again.
    """

    absent: ClassVar = False

    def __init__(self, run: NamedRun):
        self.run: Any = None
        if run.settings.logger.name == "wandb" and not Tracker.absent:
            self.guarded(lambda: self.start(run))
            Tracker.absent = self.run is None

    def start(self, run: NamedRun) -> None:
        """Open the W&B run, or resume it."""
        logger, folder = run.settings.logger, run.working
        identity = folder / "wandb.id"
        if not identity.exists():
            identity.write_text(secrets.token_hex(6))
        self.run = open_run(
            folder,
            name=run.name,
            experiment=run.experiment,
            identity=identity.read_text(),
            init_seconds=INIT_SECONDS,
            finish_seconds=FINISH_SECONDS,
            project=logger.project,
            entity=logger.entity,
            tags=(run.settings.preset.name,),
            # A sweep over `data` would hide its settings, so its name stands apart as well.
            config={"experiment": run.experiment, "dataset": run.settings.data.name,
                    **recorded_settings(run.settings)},
        )  # fmt: skip
        if self.run.settings.mode == "offline":
            there = f"{shlex.quote(str(folder))}/wandb/offline-run-*"
            print(f"W&B: offline; `wandb sync {there}` uploads the run later.")
        elif self.run.url:
            print(f"W&B: {self.run.url}")

    def log(self, row: Row) -> None:
        """Mirror a row of metrics, `train_loss` as `train/loss`."""
        if self.run is not None:
            self.guarded(lambda: self.run.log(named(row), step=int(row["iteration"])))

    def finish(self, summary: dict[str, Any], code: int = 0) -> None:
        """Mirror the summary and close the run with an exit code."""
        if self.run is not None:
            self.guarded(lambda: self.run.summary.update(summary))
        if self.run is not None:
            self.guarded(lambda: self.run.finish(exit_code=code))
        self.run = None

    def guarded(self, action: Callable[[], Any]) -> None:
        """Do something with the W&B run, and give up tracking if that fails."""
        try:
            action()
        except Exception as error:  # whatever it is, it must not reach the run
            self.run = None
            atexit.register(_let_go)  # runs before W&B's own, which would print a traceback
            print(f"W&B: {reason(error).rstrip('.')}. The run goes on without it.", file=sys.stderr)


def answer_sweep(run: NamedRun) -> None:
    """Mirror a run that had ended before a W&B sweep's agent asked for it, as the agent waits for
    its result. Without an agent, print the command that uploads such runs.

    Raises:
        RecordError: its summary is damaged.
    """
    if run.settings.logger.name != "wandb":
        return
    if "WANDB_SWEEP_ID" not in os.environ:
        preset = run.settings.preset.name
        only = "" if preset == FULL else f" PRESET={preset}"
        print(f"W&B: `make wandb-sync{only}` uploads runs that have already finished.")
        return
    make_folder(run.working)
    tracker, summary = Tracker(run), summary_of(run.record)
    for row in Record(run.record).rows():
        tracker.log(row)
    tracker.finish(summary, code=0 if summary["status"] == "finished" else DIVERGED)


def _let_go() -> None:
    """Shut down a W&B whose service may be dead."""
    wandb = sys.modules.get("wandb")
    if wandb is not None:
        with suppress(Exception):
            wandb.teardown()
