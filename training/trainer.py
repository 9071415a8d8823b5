"""One run as an object: its network, optimizer, batches and metric sums on a device."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from data.augment import derived_seed
from data.batches import iterations_per_epoch
from data.stream import Stream
from training.device import prepare_backend
from training.engine import choose_engine, prepare, step_kind
from training.evaluate import Evaluation, mean_metrics
from training.gates import Gates
from training.graph import Captured
from training.magnitude import Magnitude
from training.network import build_model, is_random, rebuilt, skips
from training.optimizer import FlatSGD
from training.plateau import Plateau
from training.replica_step import ReplicaStep
from training.replicas import Replicas, check_shares
from training.schedules import learning_rate, next_evaluation, total_iterations
from training.settings import Settings
from training.source import Images, make_source
from training.statistics import averaged_statistics
from training.step import Step


class Trainer:
    """The state of one run, and what can be done with it: train, evaluate, save, load.

    Attributes:
        iteration: iterations done so far.
        last: iterations after which the run ends.
        splits: the evaluated splits, `test` and, where images are held out, `val`; each holds
            uint8 images (N, H, W, 3) and labels (N,) on the device.
    """

    def __init__(
        self,
        settings: Settings,
        images: Images,
        device: torch.device,
        replicas: Replicas | None = None,
    ):
        prepare_backend(settings, device)
        self.replicas = replicas
        self.settings, recipe = settings, settings.recipe
        self.recipe, self.plateau = recipe, Plateau(recipe.patience)
        self.bf16 = settings.precision == "bf16"
        source = make_source(settings, images, device, replicas)
        self.images, self.batches, self.splits = source.count, source.batches, source.splits
        self.mean, self.scale = source.mean, source.scale
        self.iteration = 0
        self.last = min(total_iterations(recipe, self.images), settings.preset.stop or 2**62)
        self.engine = choose_engine(settings.engine, device, alone=replicas is None)
        self.model = self.prepare_model(settings, device)
        if replicas is not None:
            iterations = iterations_per_epoch(self.images, recipe.batch)
            check_shares({self.batches.size(k) for k in range(iterations)}, replicas.count)
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)
        self.seed, self.random = settings.seed, is_random(self.model)
        # Which blocks are closed is one draw for all processes; what is dropped is one for each.
        alike = replicas is None or skips(self.model)
        self.own = () if alike or replicas is None else (replicas.rank,)
        self.optimizer = FlatSGD(self.model, recipe, half=self.bf16)
        self.magnitude = Magnitude(self.model, self.optimizer)
        self.capture_steps(device)

    def prepare_model(self, settings: Settings, device: torch.device) -> nn.Module:
        """The network as the engine executes it."""
        model = build_model(settings).to(device).to(memory_format=torch.channels_last)
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.num_batches_tracked = None  # nobody reads it, and it costs a kernel a layer
        self.gates = None
        if skips(model) and device.type == "cuda" and self.engine != "eager":
            # What the host decides anew in each step cannot be captured.
            longest = iterations_per_epoch(self.images, self.recipe.batch) + 1
            self.gates = Gates(model, seed=settings.seed, longest=longest)
        prepare(model, self.engine)
        return model

    def capture_steps(self, device: torch.device) -> None:
        """Make the training step and the evaluations, captured where the engine says so."""
        parts = (
            self.model, self.optimizer, self.batches, self.sums, self.bf16, self.gates,
            self.magnitude,
        )  # fmt: skip
        step = step_kind(self.engine)(*parts)
        if self.replicas is not None:
            step = ReplicaStep(*parts, replicas=self.replicas)
        evaluations = {
            split: Evaluation(self.model, images, labels, self.mean, self.scale, self.bf16)
            for split, (images, labels) in self.splits.items()
        }
        self.step: Step | Captured = step
        self.evaluations = evaluations
        self.evaluate_batch: dict[str, Any] = dict(evaluations)
        if device.type == "cuda" and self.engine != "eager":
            pool = torch.cuda.graph_pool_handle()
            self.step = Captured(step, pool)
            self.evaluate_batch = {k: Captured(v, pool) for k, v in evaluations.items()}

    def next_evaluation(self) -> int:
        """Iteration count at which the running epoch, or the run, ends."""
        return next_evaluation(self.recipe, self.images, self.iteration, self.last)

    def start_segment(self) -> None:
        """Draw the batches, and gates, from here to the next evaluation."""
        self.model.train()
        self.batches.load(self.iteration, self.next_evaluation())
        if self.gates is not None:
            self.gates.load(self.iteration, self.next_evaluation())

    def train_iteration(self) -> None:
        """Do one iteration; `start_segment` must have been called for its epoch."""
        if self.random:
            # So that what is drawn, too, is a pure function of seed and iteration.
            torch.manual_seed(derived_seed(self.seed, self.iteration, *self.own))
        self.optimizer.set_learning_rate(self.learning_rate(self.iteration))
        size = self.batches.size(self.iteration)
        self.batches.fetch(size)
        self.step(size)
        self.iteration += 1

    def agreed(self, flag: bool) -> bool:
        """Whether this process, or any other that trains this run, says so."""
        return flag if self.replicas is None else self.replicas.agree(flag)

    def synchronise(self) -> None:
        """Have all processes of the run start where the first one does."""
        if self.replicas is not None:
            iteration = torch.tensor(self.iteration)
            sums = [self.sums, self.magnitude.sums, self.plateau.state]
            self.replicas.copy_first([iteration, *sums, *self.model.buffers()])
            self.replicas.copy_first([self.optimizer.weights, self.optimizer.momenta])
            self.optimizer.publish()
            self.iteration = int(iteration)

    def learning_rate(self, iteration: int) -> float:
        """Learning rate of an iteration, counted from 0."""
        return learning_rate(self.recipe, self.images, iteration, self.plateau.drops)

    def take_training_metrics(self) -> tuple[float, float]:
        """Mean loss and error in percent over the training batches since the last call."""
        metrics = mean_metrics(self.sums)
        self.sums.zero_()
        return metrics

    def end_segment(self) -> tuple[float, float]:
        """`take_training_metrics`, and what a recipe does between epochs and after the last one."""
        loss, error = self.take_training_metrics()
        self.plateau.note(error)
        if self.iteration == self.last and math.isfinite(loss):
            self.average_statistics()
        if self.replicas is not None and isinstance(self.batches, Stream):
            self.batches.skipped = self.replicas.union(self.batches.skipped, self.images)
        return loss, error

    def average_statistics(self) -> None:
        """Exchange the moving averages for statistics taken anew, where the recipe asks for it."""
        if self.recipe.statistics_batches == 0:
            return
        model = rebuilt(self.settings, self.weights(), self.sums.device)
        found = averaged_statistics(
            self.settings, model, self.batches, self.iteration, self.replicas
        )
        for name, buffer in self.model.named_buffers():
            if name in found:
                buffer.copy_(found[name])

    def evaluate(self, split: str) -> tuple[float, float]:
        """Loss and top-1 error in percent of a split, single view."""
        evaluation = self.evaluations[split]
        evaluation.start()
        for size in evaluation.sizes():
            self.evaluate_batch[split](size)
        return mean_metrics(evaluation.sums)

    def weights(self) -> dict[str, Tensor]:
        """The network's state by name: parameters in float32, and statistics."""
        return {**self.model.state_dict(), **self.optimizer.master}

    def state(self) -> dict[str, Any]:
        """All that a run needs to go on where it is: tensors, numbers and containers of them."""
        return {
            "iteration": self.iteration,
            "model": self.weights(),
            "momentum": self.optimizer.momentum,
            "sums": self.sums,
            "magnitude": self.magnitude.sums,
            "plateau": self.plateau.state,
            "skipped": sorted(self.batches.skipped) if isinstance(self.batches, Stream) else [],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state made by `state`, on whatever device and by whatever engine.

        Raises:
            KeyError, RuntimeError: it is another network's.
        """
        self.iteration = state["iteration"]
        for name, buffer in self.model.named_buffers():
            buffer.copy_(state["model"][name])
        self.optimizer.load(state["model"], state["momentum"])
        self.sums.copy_(state["sums"])
        if "magnitude" in state:  # the first checkpoints hold none
            self.magnitude.sums.copy_(state["magnitude"])
        if "plateau" in state:
            self.plateau.state.copy_(state["plateau"])
        if isinstance(self.batches, Stream):
            self.batches.skipped |= set(state.get("skipped", []))
