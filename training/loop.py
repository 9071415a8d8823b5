"""The training loop: iterate, evaluate every epoch and at the end, record, save, stop if asked."""

import math
import time
from collections.abc import Callable

from records.exits import PREEMPTED
from records.record import Record, Row
from training.process.progress import ProgressLine
from training.process.signals import Signals, Stopped
from training.trainer import Trainer

SAVING = 0.02  # share of the time that checkpoints may take
LONGEST = 600  # seconds between two all the same: to a plan, they are the run's signs of life
Save = Callable[[float], None]


def train(
    trainer: Trainer,
    record: Record,
    *,
    seconds: float,
    save: Save,
    save_every: float,
    progress: ProgressLine,
    signals: Signals,
    log: Callable[[Row], None],
) -> tuple[str, float]:
    """Train to the end of the recipe, or until the loss stops being finite.

    Args:
        seconds: training time of earlier processes, evaluation excluded.
        save: writes a checkpoint, given the training seconds so far.
        save_every: seconds between checkpoints, more if they would take over `SAVING` of the time.

    Returns:
        `finished` or `diverged`, and the total training seconds.

    Raises:
        Stopped: a signal arrived; the state was saved if its loss is finite.
        OSError: a checkpoint or the record could not be written.
    """
    due = time.monotonic() + save_every
    while trainer.iteration < trainer.last:
        since = time.monotonic()
        end = trainer.begin_segment()
        # A stop in the last iteration of a segment waits for its evaluation, so that no checkpoint
        # falls between training and evaluating.
        while trainer.iteration < end:
            stop = trainer.agreed(signals.code is not None)
            if stop or time.monotonic() >= due:
                due = time.monotonic() + save_every
                if trainer.metrics.is_finite():  # waits for the GPU
                    began = time.monotonic()
                    save(seconds + began - since)
                    due = _next(began, save_every)
                else:  # never overwrite the last state with a finite loss
                    record.touch()
            if stop:
                raise _stopped(trainer, signals)
            trainer.train_iteration()
            progress.advance(trainer.iteration)
        row = _training_metrics(trainer)
        seconds += time.monotonic() - since
        row |= _evaluation(trainer) | {"seconds": seconds}
        record.append(row)
        log(row)
        progress.evaluated(row)
        if not math.isfinite(row["train_loss"]):
            return "diverged", seconds
    save(seconds)
    return "finished", seconds


def _next(began: float, save_every: float) -> float:
    """When the next checkpoint is due, after one begun at a time; at once if `save_every` is 0."""
    now = time.monotonic()
    least = min((now - began) / SAVING, LONGEST) if save_every else 0
    return now + max(save_every, least)


def follow(trainer: Trainer, signals: Signals) -> None:
    """Train along with the first process of a run, which alone evaluates, records and saves.

    Raises:
        Stopped: one of the processes received a signal; the first one has saved.
    """
    while trainer.iteration < trainer.last:
        end = trainer.begin_segment()
        while trainer.iteration < end:
            if trainer.agreed(signals.code is not None):
                raise Stopped("stopped with the other processes", signals.code or PREEMPTED)
            trainer.train_iteration()
        if not math.isfinite(trainer.end_segment()[0]):
            return


def _stopped(trainer: Trainer, signals: Signals) -> Stopped:
    finite = trainer.metrics.is_finite()
    where = "there" if finite else "the last checkpoint, because the loss is not finite"
    message = (
        f"stopped at iteration {trainer.iteration:,}; repeat the command to continue from {where}."
    )
    return Stopped(message, signals.code or PREEMPTED)


def _training_metrics(trainer: Trainer) -> Row:
    """End the segment and return its training metrics."""
    done = trainer.iteration
    lr = trainer.learning_rate(done - 1)  # before the segment's error may lower it
    loss, error = trainer.end_segment()
    gradient = trainer.gradient()
    return {
        "iteration": done,
        "epoch": trainer.batches.span(done - 1)[1] / trainer.epoch_size,
        "lr": lr,
        "train_loss": loss,
        "train_error": error,
        **({} if gradient is None else {"gradient": gradient}),
    }


def _evaluation(trainer: Trainer) -> Row:
    row: Row = {}
    for split in trainer.splits:
        row[f"{split}_loss"], row[f"{split}_error"] = trainer.evaluate(split)
    return row
