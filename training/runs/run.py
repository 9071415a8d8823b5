"""One run from settings to record: skipped if finished, resumed if begun."""

from pathlib import Path
from typing import Any

import torch

from data.sets import load as load_images
from records.code import code_hash, commit
from records.exits import DIVERGED
from records.files import make_folder, remove_empty
from records.lock import locked, release_dead
from records.names import FULL, KEPT, WEIGHTS
from records.objections import objections
from records.record import Record, is_finished, summary_of
from training import loop
from training.process.device import find_device
from training.process.progress import ProgressLine
from training.process.replicas import Replicas, replicas
from training.process.signals import Signals, Stopped
from training.runs import checkpoint
from training.runs.counted import counted
from training.runs.finished import check_same, ship
from training.runs.named import NamedRun
from training.runs.summary import name_of, reset_peak_memory, summarise
from training.runs.tracking import Tracker, answer_sweep
from training.settings.identity import identity, recorded_settings
from training.settings.settings import Settings
from training.trainer import Trainer
from training.weights.description import describe
from training.weights.export import export

Outcome = tuple[str, float | None]


def run(settings: Settings, experiment: str, name: str) -> Outcome:
    """Train a run to its end and write its record; a run that has ended is left as it is.

    Returns:
        `finished` or `diverged`, and the test error in percent if it is finite.

    Raises:
        ConfigError: an impossible setting.
        DataError: the data set is missing or damaged.
        CheckpointError, RecordError: existing files of the run are damaged or of another
            configuration.
        FolderError: a folder cannot be written.
        Busy: another process is training this run.
        Stopped: a signal arrived; the state was saved if its loss is finite.
        OSError: the disk is full or broken; the last checkpoint is intact.
    """
    with Signals() as signals, replicas() as processes:
        if processes is not None and processes.rank > 0:
            return _help_train(settings, signals, processes)
        named = NamedRun(settings, experiment, name)
        working, record = named.working, named.record
        if is_finished(record) and record != working:
            summary = check_same(settings, record, processes.count if processes else 1)
            release_dead(working)
            return _ended(named, summary, before=True)
        make_folder(working)
        try:
            with locked(working):
                outcome = _run_locked(named, signals, processes)
        finally:
            remove_empty(working, Path(settings.output_dir).parent)  # if nothing has begun
        if signals.code is not None:  # it arrived too late to stop this run
            raise Stopped(f"{name}: {outcome[0]}, then stopped.", signals.code)
        return outcome


def _run_locked(run: NamedRun, signals: Signals, processes: Replicas | None) -> Outcome:
    """Train what is left of a run whose lock this process holds."""
    before = is_finished(run.working)
    if before:
        summary = check_same(run.settings, run.working, processes.count if processes else 1)
    else:
        begun = Training(run, processes)
        begun.start()
        begun.finish(begun.train(signals))
        summary = summary_of(run.working)
    # Also for an earlier process that died right here.
    if summary["status"] == "finished":
        checkpoint.clear(run.working)
    ship(run)
    return _ended(run, summary, before=before)


def _ended(run: NamedRun, summary: dict[str, Any], *, before: bool) -> Outcome:
    """Print how a run has ended, now or `before`, and return it."""
    status, error = summary["status"], summary["test_error"]["last"]
    outcome = status if error is None else f"{status}, test error {error:.2f} %"
    print(f"{run.name}: {'already ' * before}{outcome}, see {run.record}")
    if before:
        if code_hash() not in (summary.get("code") or [code_hash()]):
            print("It was trained by other code than is here; move it away to train it anew.")
        answer_sweep(run)
    return status, error


def _help_train(settings: Settings, signals: Signals, processes: Replicas) -> Outcome:
    """Train along with the first process of a run, which alone knows the outcome."""
    device = find_device(processes.device(settings.device))
    images = load_images(settings.data.source, Path(settings.data.folder))
    trainer = Trainer(settings, images, device, processes)
    if processes.begin():
        trainer.synchronise()
        loop.follow(trainer, signals)
    return "finished", None


class Training:
    """A run in progress: `start` creates or loads its state, `train` and `finish` follow.

    Attributes:
        known: what its summary says of it from its start.
        seconds: of training so far, evaluation excluded.
        code: hashes of the code of all processes that worked on the run.
        devices: what those processes ran on; see `training.runs.summary.name_of`.
    """

    def __init__(self, run: NamedRun, processes: Replicas | None = None):
        self.run, self.settings, self.processes = run, run.settings, processes
        # Read now: the files may change while the run trains.
        self.seconds, self.code, self.known = 0.0, [code_hash()], run.known() | commit()
        self.devices: list[str] = []
        self.record = Record(run.working)

    def start(self) -> None:
        """Load the data, build the trainer, and resume from the newest checkpoint, if any."""
        settings = self.settings
        device_name = self.processes.device(settings.device) if self.processes else settings.device
        device = find_device(device_name)
        reset_peak_memory(device)
        self.devices = [name_of(device, self.processes.count if self.processes else 1)]
        images = load_images(settings.data.source, Path(settings.data.folder))
        self.known["data"] = images.fingerprint
        self.trainer = Trainer(settings, images, device, self.processes)
        state = checkpoint.load(self.run.working, identity(settings))
        if state is not None:
            self.resume(state)
        kept = settings.preset.name in KEPT
        if kept and (why := objections(self.known, *counted(self.run))):
            print(f"{self.run.name}: this run will enter no table: {'; '.join(why)}.")
        if state is None:
            self.record.start({"experiment": self.run.experiment, **recorded_settings(settings)})
        self.tracker = Tracker(self.run)
        if self.processes is not None:
            self.processes.begin()
            self.trainer.synchronise()

    def resume(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint; metrics recorded after it are measured again.

        Raises:
            CheckpointError: it is of another network or other data, or the metrics before it are
                lost.
        """
        before, now = state.get("data"), self.known["data"]
        if before not in (None, now):
            raise checkpoint.CheckpointError(
                f"{self.run.working} was begun on other data of that name ({before}, now {now}).\n"
                "Put those back, or delete it to start this run afresh."
            )
        try:
            self.trainer.load(state["trainer"])
            self.record.rewind(state["metrics_bytes"])
        except (torch.OutOfMemoryError, torch.AcceleratorError):
            raise  # say nothing about the checkpoint
        except (RuntimeError, KeyError, ValueError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise checkpoint.CheckpointError(
                f"{self.run.working} cannot be resumed ({reason}).\n"
                "Delete it to start this run afresh."
            ) from None
        if self.code[0] not in state["code"]:
            print(f"{self.run.name}: begun by other code than is here; the record will name both.")
        self.seconds = state["seconds"]
        self.code = list(dict.fromkeys(state["code"] + self.code))
        self.devices = list(dict.fromkeys(state.get("devices", []) + self.devices))
        if state.get("clean") is False:  # once trained by uncommitted code, the run stays unclean
            self.known["clean"] = False

    def save(self, seconds: float) -> None:
        """Write a checkpoint, given the training seconds so far."""
        state = {
            "trainer": self.trainer.state(),
            "metrics_bytes": self.record.size(),
            "seconds": seconds,
            "code": self.code,
            "devices": self.devices,
            "clean": self.known["clean"],
            "data": self.known["data"],
        }
        iteration, deciding = self.trainer.iteration, identity(self.settings)
        checkpoint.save(self.run.working, iteration, state, deciding)

    def train(self, signals: Signals) -> str:
        """Train to the end and return `finished` or `diverged`."""
        trainer, preset = self.trainer, self.settings.preset.name
        name = self.run.name
        shown = name if preset == FULL else f"{name} (preset {preset})"
        progress = ProgressLine(shown, trainer.recipe.batch, trainer.iteration, trainer.last)
        try:
            with progress:
                status, self.seconds = loop.train(
                    trainer,
                    self.record,
                    seconds=self.seconds,
                    save=self.save,
                    save_every=self.settings.checkpoint_seconds,
                    progress=progress,
                    signals=signals,
                    log=self.tracker.log,
                )
        except BaseException as error:
            self.tracker.finish({}, code=1)
            if isinstance(error, Stopped):
                raise Stopped(f"{name}: {error}", error.code) from None
            raise
        return status

    def finish(self, status: str) -> None:
        """Export the weights and write the summary, which marks the run as ended."""
        weights = None
        if status == "finished":
            about = describe(self.settings, self.run.experiment)
            weights = export(self.trainer.weights(), self.run.working / WEIGHTS, about)
        measured = summarise(
            self.settings,
            self.trainer,
            rows=self.record.rows(),
            seconds=self.seconds,
            code=self.code,
            devices=self.devices,
        )
        summary = {**self.known, "status": status, **measured, "weights": weights}
        self.record.finish(summary)
        self.tracker.finish(summary, code=0 if status == "finished" else DIVERGED)
