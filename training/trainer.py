"""One run as an object: its network, optimizer, batches and metrics on a device."""

import math
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from data.order import derived_seed, iterations_per_epoch
from models.fitnet import FitNet
from training.engines.engine import Engine
from training.engines.graph import Graphs
from training.process.device import set_backend
from training.process.replicas import Replicas, check_shares
from training.recipe import schedules
from training.recipe.average import WeightAverage
from training.recipe.evaluate import Evaluation
from training.recipe.metrics import Metrics
from training.recipe.objective import objective_of
from training.recipe.optimizer import FlatOptimizer
from training.recipe.plateau import Plateau
from training.recipe.run_data import Images, load_run_data
from training.recipe.statistics import averaged_statistics
from training.recipe.step import Step
from training.settings.network import dropouts, rebuilt, set_dropouts, skips
from training.settings.recipe import Phase
from training.settings.settings import Settings
from training.weights.teacher import read_teacher


class Trainer:
    """The state of one run, with methods to train, evaluate, save and load it.

    Attributes:
        iteration: iterations done so far.
        last: iterations after which the run ends.
        epoch_size: training images per epoch, without those held out.
        splits: the evaluated splits, `test` and, if images are held out, `val`; each holds
            images (N, H, W, 3) and labels (N,).
        kept: the tensors of a checkpoint, by name; `state` adds the iteration and the images
            skipped so far.
        tensors: every tensor that a step or the end of a segment changes.
    """

    def __init__(
        self,
        settings: Settings,
        images: Images,
        device: torch.device,
        replicas: Replicas | None = None,
        graphs: Graphs | None = None,
    ):
        set_backend(settings, device)
        self.settings, self.replicas = settings, replicas
        loaded = load_run_data(settings, images, device, replicas)
        self.epoch_size, self.batches, self.splits = (
            loaded.epoch_size,
            loaded.batches,
            loaded.splits,
        )
        self.mean, self.scale = loaded.mean, loaded.scale
        self.recipe = schedules.scaled(settings.recipe, settings.preset.scale, self.epoch_size)
        per_epoch = iterations_per_epoch(self.epoch_size, self.recipe.batch)
        sizes = {self.batches.size(k) for k in range(per_epoch)}
        check_shares(sizes, 1 if replicas is None else replicas.count)
        # From here on, the order matters: the optimizer moves the parameters that the engine's
        # network has, the average copies both, and a step needs the list of all tensors.
        self.iteration = 0
        length = schedules.total_iterations(self.recipe, self.epoch_size)
        self.last = min(length, settings.preset.stop or length)
        self.engine = Engine(settings, device, replicas, graphs)
        self.model, self.drawn = self.engine.build(longest=per_epoch + 1)
        bf16 = settings.precision == "bf16"
        captured = self.engine.graphs is not None
        self.optimizer = FlatOptimizer(self.model, self.recipe, half=bf16, captured=captured)
        self.metrics, self.plateau = Metrics(device), Plateau(self.recipe.patience)
        decay = self.recipe.weight_average
        self.average = WeightAverage(self.optimizer, decay) if decay else None
        convolutions = [n for n, m in self.model.named_modules() if isinstance(m, nn.Conv2d)]
        # The first of the first block, whose gradient is Fig. 7 of Huang et al. 2016: one after the
        # stem.
        first = f"{convolutions[:2][-1]}.weight" if convolutions else ""
        self.first = self.optimizer.gradient.get(first)
        moves = self.recipe.auxiliary_end is not None
        self.auxiliary = torch.zeros((), device=device) if moves else None
        if isinstance(self.model, FitNet):
            self.model.follow(read_teacher(settings, device))
        parts: list[FlatOptimizer | WeightAverage] = [self.optimizer]
        parts += [self.average] if self.average else []
        own = {"sums": self.metrics.sums, "plateau": self.plateau.counts}
        self.kept: dict[str, Any] = {k: v for part in parts for k, v in part.state().items()} | own
        self.tensors = [
            *(tensor for part in parts for tensor in part.tensors()), *own.values(),
            *self.batches.tensors(), *(drawn.position for drawn in self.drawn),
        ]  # fmt: skip
        self.evaluations = {
            split: Evaluation(self.model, images, labels, self.mean, self.scale, bf16)
            for split, (images, labels) in self.splits.items()
        }
        self.evaluate_batch = {k: self.engine.captured(v) for k, v in self.evaluations.items()}
        self.dropout = dropouts(self.model)
        self.enter(schedules.phase_at(self.recipe, self.epoch_size, 0)[0])
        # Stochastic depth skips the same blocks in all processes; each draws its own dropout.
        alike = replicas is None or skips(self.model)
        self.drawn_by = () if alike or replicas is None else (replicas.rank,)

    def enter(self, phase: Phase) -> None:
        """Enter a phase: set its dropout rates and build a step for its objective."""
        self.phase = phase
        set_dropouts(self.model, self.dropout if phase.dropout is None else phase.dropout)
        self.step = self.engine.executed(Step(
            self.model, self.optimizer, self.batches, self.metrics,
            bf16=self.settings.precision == "bf16",
            objective=objective_of(self.recipe, phase, self.auxiliary),
            hooks=[*self.drawn, *([self.average] if self.average else [])],
            tensors=self.tensors,
        ))  # fmt: skip

    def begin_segment(self) -> int:
        """Begin a segment, the iterations up to the next evaluation: draw its batches, and return
        that iteration."""
        end = schedules.next_evaluation(self.recipe, self.epoch_size, self.iteration, self.last)
        self.model.train()
        self.batches.begin(self.iteration, end)
        for drawn in self.drawn:
            drawn.begin(self.iteration, end)
        return end

    def train_iteration(self) -> None:
        """Train one iteration of the current segment."""
        phase, _ = schedules.phase_at(self.recipe, self.epoch_size, self.iteration)
        if phase != self.phase:
            self.enter(phase)
        # Seeded at every iteration, random draws are a function of seed and iteration alone, and so
        # is what a resumed run draws.
        seed = derived_seed(self.settings.seed, self.iteration, *self.drawn_by)
        # `torch.manual_seed` would note a traceback for every kind of device not there: 0.3 ms.
        torch.default_generator.manual_seed(seed)
        if self.mean.is_cuda:
            torch.cuda.manual_seed(seed)
        self.set_rates()
        size = self.batches.size(self.iteration)
        self.batches.fetch(size)
        self.step(size)
        self.iteration += 1

    def set_rates(self) -> None:
        """Set learning rate, momentum and auxiliary weight for the next iteration."""
        recipe, epoch_size, iteration = self.recipe, self.epoch_size, self.iteration
        heads = schedules.head_rate(recipe, iteration)
        self.optimizer.set_learning_rate(self.learning_rate(iteration), heads)
        if self.auxiliary is not None:
            self.auxiliary.fill_(schedules.auxiliary_at(recipe, epoch_size, iteration))
        if recipe.momentum_moves:
            self.optimizer.set_momentum(schedules.momentum_at(recipe, epoch_size, iteration))
        if schedules.clears_momentum(recipe, epoch_size, iteration):
            self.optimizer.clear_momentum()

    def end_segment(self) -> tuple[float, float]:
        """Return mean loss and error in percent over the segment's batches.

        Also notes the error for the plateau schedule, shares which images were skipped and, after
        the last iteration, averages the normalisation statistics if the recipe asks for it.
        """
        loss, error = self.metrics.take()
        self.plateau.note(error)
        if self.iteration == self.last and math.isfinite(loss):
            self.average_statistics()
        if self.replicas is not None:
            self.batches.share_skipped(self.replicas.union)
        return loss, error

    def gradient(self) -> float | None:
        """Mean magnitude of the gradient at the first convolution of the network's first block in
        the last step (Huang et al. 2016, Fig. 7), excluding weight decay; 0 if that step skipped
        the block, None for a network without convolutions. Read from the optimizer's storage, it
        costs the steps nothing."""
        return None if self.first is None else float(self.first.abs().double().mean())

    def learning_rate(self, iteration: int) -> float:
        """Learning rate of an iteration, counted from 0."""
        return schedules.learning_rate(self.recipe, self.epoch_size, iteration, self.plateau.drops)

    def average_statistics(self) -> None:
        """Replace the moving averages by freshly computed statistics, if the recipe asks for it."""
        if self.recipe.statistics_batches == 0:
            return
        model = rebuilt(self.settings, self.weights(), self.mean.device)
        averaged = averaged_statistics(
            self.settings, model, self.batches, self.iteration, self.replicas
        )
        for name, buffer in self.model.named_buffers():
            if name in averaged:
                buffer.copy_(averaged[name])

    def evaluate(self, split: str) -> tuple[float, float]:
        """Single-view loss and top-1 error in percent on a split, with averaged weights if the
        recipe averages them."""
        evaluation = self.evaluations[split]
        with self.average.in_place() if self.average else nullcontext():
            for size in evaluation.start():
                self.evaluate_batch[split](size)
        return evaluation.metrics.mean()

    def weights(self) -> dict[str, Tensor]:
        """The network's state by name, as evaluated: float32 parameters, and statistics."""
        return self.optimizer.state()["model"] | (self.average.named if self.average else {})

    def state(self) -> dict[str, Any]:
        """Everything needed to resume from here: tensors, numbers and containers of them."""
        return {"iteration": self.iteration, **self.kept, "skipped": self.batches.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Resume from a state returned by `state`, on any device and with any engine.

        The first states had no plateau and no skipped images: these start afresh.

        Raises:
            KeyError, RuntimeError: the state belongs to another network.
        """
        self.iteration = state["iteration"]
        restore(self.kept, self.kept | state)
        self.batches.load(state.get("skipped", []))
        self.optimizer.renew_half()

    def agreed(self, flag: bool) -> bool:
        """Whether `flag` is true in any process of this run."""
        return flag if self.replicas is None else self.replicas.agree(flag)

    def synchronise(self) -> None:
        """Copy the first process's iteration and state to all processes of the run."""
        if self.replicas is not None:
            iteration = torch.tensor(self.iteration)
            tensors = [tensor for tensor in self.tensors if tensor.dtype != torch.bfloat16]
            self.replicas.copy_first([iteration, *tensors])
            self.iteration = int(iteration)
            self.optimizer.renew_half()


def restore(places: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Copy saved tensors into those of the same names, on any device and at any precision.

    Raises:
        KeyError, RuntimeError: one is missing or has another shape.
    """
    for name, place in places.items():
        if isinstance(place, Tensor):
            place.copy_(state[name])
        else:
            restore(place, state[name])
