"""One run from settings to record: skipped if finished, resumed if begun."""

from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.sets import load as load_images
from training import checkpoint, loop
from training.device import find_device
from training.export import export
from training.finished import check_same, publish, status_of, summary_of
from training.heartbeat import Heartbeat
from training.identity import science
from training.lock import locked, release_dead
from training.naming import result_folder, working_folder
from training.progress import ProgressLine
from training.provenance import code_hash, source
from training.record import Record, is_finished, make_folder
from training.replicas import Replicas, replicas
from training.settings import Settings
from training.signals import Signals, Stopped
from training.source import Images
from training.summary import summarise
from training.tracking import Tracker
from training.trainer import Trainer

# Settings of the machine at hand, which say nothing about a run.
MACHINE = (
    "output_dir", "results_dir", "checkpoint_seconds", "logger", "threads", "workers", "device",
    "engine",
)  # fmt: skip


@dataclass
class Company:
    """The runs that share a process with this one.

    Attributes:
        alone: whether there can be others.
        most: how many there were at once, at most, itself included.
    """

    alone: bool = True
    most: int = 1


def run(settings: Settings, experiment: str, name: str) -> str:
    """Train a run to its end and leave its record; one that has ended is left as it is.

    Returns:
        `finished` or `diverged`.

    Raises:
        ConfigError: an impossible setting, or a folder that cannot be written.
        DataError: the data set is missing or damaged.
        CheckpointError: the run's checkpoints are damaged or of another configuration.
        Busy: another process trains this run.
        Stopped: a signal came; the state was saved.
        OSError: the disk is full or broke; the last checkpoint is intact.
    """
    with Signals() as signals, replicas() as processes:
        if processes is not None and processes.rank > 0:
            return help_train(settings, signals, processes)
        steps = running(settings, experiment, name, signals, Company(), processes)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                if signals.code is not None:  # it came too late to stop this run
                    raise Stopped(f"{name}: {end.value}, then stopped.", signals.code) from None
                return end.value


def help_train(settings: Settings, signals: Signals, processes: Replicas) -> str:
    """What the other processes of a run do; only the first one knows what came out."""
    device = find_device(processes.device(settings.device))
    images = load_images(settings.data.source, Path(settings.data.folder))
    trainer = Trainer(settings, images, device, processes)
    if processes.begin():
        trainer.synchronise()
        loop.follow(trainer, signals)
    return "finished"


def running(
    settings: Settings,
    experiment: str,
    name: str,
    signals: Signals,
    company: Company,
    processes: Replicas | None = None,
) -> Generator[None, None, str]:
    """What `run` does, pausing after every iteration; `processes` are those of the run."""
    working, results = working_folder(settings, name), result_folder(settings, name)
    if results is not None and is_finished(results):
        check_same(settings, results)
        release_dead(working)
        print(f"{name}: already finished, see {results}")
        return status_of(results)
    images = trainer = None
    if not is_finished(working):
        # First, because what is wrong with a configuration shows here and leaves no folder.
        own = settings.device if processes is None else processes.device(settings.device)
        device = find_device(own)
        images = load_images(settings.data.source, Path(settings.data.folder))
        trainer = Trainer(settings, images, device, processes)
    make_folder(working)
    with locked(working):
        before = is_finished(working)
        if before:
            check_same(settings, working)
        elif images is not None and trainer is not None:
            yield from Run(settings, experiment, name, trainer, images).train(signals, company)
        # A process that died right here before has left this to its successor.
        status = status_of(working)
        if status == "finished":
            checkpoint.clear(working)
        if results is not None:
            publish(settings, name, results)
    error = summary_of(working)["test_error"]["last"]
    result = "" if error is None else f", test error {error:.2f} %"
    print(f"{name}: {'already ' if before else ''}{status}{result}, see {results or working}")
    return status


class Run:
    """A run under way: its trainer, its record and its checkpoint."""

    def __init__(
        self, settings: Settings, experiment: str, name: str, trainer: Trainer, images: Images
    ):
        self.settings, self.experiment, self.name = settings, experiment, name
        self.trainer, self.fingerprint = trainer, images.fingerprint
        self.folder = working_folder(settings, name)
        # Read now: hours from now the files may be others.
        self.seconds, self.code, self.source = 0.0, [code_hash()], source()
        self.config = recorded(settings, experiment)
        state = checkpoint.load(self.folder, science(settings))
        self.record = Record(self.folder)
        if state is None:
            self.record.start(self.config)
        else:
            self.resume(state)

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint; metrics recorded after it are measured again.

        Raises:
            CheckpointError: it is of another network, or the metrics before it are lost.
        """
        try:
            self.trainer.load(state["trainer"])
            self.record.rewind(state["metrics_bytes"])
        except (RuntimeError, KeyError, ValueError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise checkpoint.CheckpointError(
                f"{self.folder} cannot be resumed ({reason}).\nDelete it to start this run afresh."
            ) from None
        self.seconds = state["seconds"]
        self.code = list(dict.fromkeys(state["code"] + self.code))

    def save(self, seconds: float) -> None:
        """Write a checkpoint, given the training seconds so far."""
        state = {
            "trainer": self.trainer.state(),
            "metrics_bytes": self.record.size(),
            "seconds": seconds,
            "code": self.code,
        }
        iteration = self.trainer.iteration
        checkpoint.save(self.folder, iteration, state, science(self.settings))

    def train(self, signals: Signals, company: Company) -> Generator[None, None, None]:
        """Train to the end, export the weights and write the summary."""
        tracker = Tracker(
            self.settings.logger, self.experiment, self.name, self.folder, self.config
        )
        trainer = self.trainer
        if trainer.replicas is not None:
            trainer.replicas.begin()
            trainer.synchronise()
        preset = self.settings.preset.name
        shown = self.name if preset == "paper" else f"{self.name} (preset {preset})"
        progress = ProgressLine(
            shown,
            trainer.recipe.batch,
            Heartbeat(self.folder, trainer.iteration, trainer.last),
            alone=company.alone,
        )
        try:
            with progress:
                status, self.seconds = yield from loop.train(
                    trainer,
                    self.record,
                    seconds=self.seconds,
                    save=self.save,
                    save_every=self.settings.checkpoint_seconds,
                    progress=progress,
                    signals=signals,
                    log=tracker.log,
                )
        except Stopped as stopped:
            tracker.finish({}, code=1)
            raise Stopped(f"{self.name}: {stopped}", stopped.code) from None
        except BaseException:
            tracker.finish({}, code=1)
            raise
        weights = None
        if status == "finished":
            weights = export(trainer.weights(), self.folder / "weights.safetensors")
        names = {"run": self.name, "experiment": self.experiment, "status": status}
        summary = names | self.summary() | {"weights": weights, "runs_at_once": company.most}
        self.record.finish(summary)
        tracker.finish(summary, code=0 if status == "finished" else 4)

    def summary(self) -> dict[str, Any]:
        """What the record says of the whole run."""
        return summarise(
            self.settings,
            self.trainer,
            rows=self.record.rows(),
            seconds=self.seconds,
            code=self.code,
            source=self.source,
            fingerprint=self.fingerprint,
        )


def recorded(settings: Settings, experiment: str) -> dict[str, Any]:
    """The resolved configuration as the record keeps it, without what belongs to the machine."""
    config = {key: value for key, value in asdict(settings).items() if key not in MACHINE}
    config["data"] = {key: value for key, value in config["data"].items() if key != "folder"}
    return {"experiment": experiment, **config}
