"""One run as an object: its network, optimizer, batches and metric sums on a device."""

import os
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data.arrays import ImageSet
from data.augment import derived_seed, normalise, statistics
from data.batches import Batches
from training.graph import CapturedStep
from training.memory import keep_freed_memory
from training.network import build_model, is_random, skips
from training.optimizer import make_optimizer, set_learning_rate
from training.schedules import learning_rate, next_evaluation, total_iterations
from training.settings import ConfigError, Settings
from training.step import LOSS, SEEN, WRONG, Step, add_metrics, forward

EVALUATION_BATCH = 500


class Trainer:
    """The state of one run, and what can be done with it: train, evaluate, save, load.

    Attributes:
        iteration: iterations done so far.
        last: iterations after which the run ends.
        splits: the evaluated splits, `test` and, where images are held out, `val`; each holds
            uint8 images (N, H, W, 3) and labels (N,) on the device.
    """

    def __init__(self, settings: Settings, images: ImageSet, device: torch.device):
        prepare_backend(settings)
        recipe = self.recipe = settings.recipe
        self.bf16 = settings.precision == "bf16"
        self.images = len(images.train_images) - recipe.holdout
        if self.images < recipe.batch:
            raise ConfigError(
                f"recipe.holdout={recipe.holdout} leaves {self.images} of "
                f"{len(images.train_images)} training images, below recipe.batch={recipe.batch}."
            )
        check_fit(settings, images)
        self.iteration = 0
        self.last = min(total_iterations(recipe, self.images), settings.preset.stop or 2**62)
        mean, scale = statistics(images.train_images[: self.images], recipe.mean, recipe.std)
        self.mean, self.scale = mean.to(device), scale.to(device)
        x, y = (
            torch.from_numpy(array).to(device)
            for array in (images.train_images, images.train_labels)
        )
        self.splits = {"test": _on(device, images.test_images, images.test_labels)}
        if recipe.holdout:
            self.splits["val"] = (x[self.images :], y[self.images :])
        self.model = build_model(settings).to(device).to(memory_format=torch.channels_last)
        self.optimizer = make_optimizer(self.model, recipe)
        self.batches = Batches(
            x[: self.images],
            y[: self.images],
            mean=self.mean,
            scale=self.scale,
            batch=recipe.batch,
            wrap=recipe.wrap,
            pad=settings.data.pad,
            flip=settings.data.flip,
            seed=settings.seed,
        )
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)
        self.seed, self.random = settings.seed, is_random(self.model)
        skipping = skips(self.model)
        step = Step(self.model, self.optimizer, self.batches, self.sums, self.bf16, skipping)
        # What the host decides anew in each step cannot be captured.
        captured = device.type == "cuda" and not skipping
        self.step = CapturedStep(step) if captured else step

    def next_evaluation(self) -> int:
        """Iteration count at which the running epoch, or the run, ends."""
        return next_evaluation(self.recipe, self.images, self.iteration, self.last)

    def start_segment(self) -> None:
        """Draw the batches from here to the next evaluation."""
        self.model.train()
        self.batches.load(self.iteration, self.next_evaluation())

    def train_iteration(self) -> None:
        """Do one iteration; `start_segment` must have been called for its epoch."""
        if self.random:
            # So that what is drawn, too, is a pure function of seed and iteration.
            torch.manual_seed(derived_seed(self.seed, self.iteration))
        set_learning_rate(self.optimizer, self.learning_rate(self.iteration))
        self.step(self.batches.size(self.iteration))
        self.iteration += 1

    def learning_rate(self, iteration: int) -> float:
        """Learning rate of an iteration, counted from 0."""
        return learning_rate(self.recipe, self.images, iteration)

    def take_training_metrics(self) -> tuple[float, float]:
        """Mean loss and error in percent over the training batches since the last call."""
        metrics = mean_metrics(self.sums)
        self.sums.zero_()
        return metrics

    def evaluate(self, split: str) -> tuple[float, float]:
        """Loss and top-1 error in percent of a split, single view."""
        images, labels = self.splits[split]
        return evaluate(
            self.model, images, labels, mean=self.mean, scale=self.scale, bf16=self.bf16
        )

    def state(self) -> dict[str, Any]:
        """All that a run needs to go on where it is: tensors, numbers and containers of them."""
        return {
            "iteration": self.iteration,
            "model": self.model.state_dict(),
            "momentum": self.optimizer.state_dict()["state"],
            "sums": self.sums,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state made by `state`."""
        self.iteration = state["iteration"]
        self.model.load_state_dict(state["model"])
        # The groups stay this trainer's own: their learning rates live where its step reads them.
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state["momentum"], "param_groups": groups})
        self.sums.copy_(state["sums"])


def prepare_backend(settings: Settings) -> None:
    """Set what holds for the whole process: memory, threads, determinism, TF32."""
    keep_freed_memory()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if settings.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(settings.deterministic, warn_only=True)
    # Nothing here reads memory that was not written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not settings.deterministic
    tf32 = settings.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32


def check_fit(settings: Settings, images: ImageSet) -> None:
    """Refuse a configuration whose classes or image size are not those of the data.

    Raises:
        ConfigError: they are not.
    """
    found = {"classes": len(images.classes), "size": images.train_images.shape[1]}
    for key, value in found.items():
        if getattr(settings.data, key) != value:
            raise ConfigError(
                f"data.{key}={getattr(settings.data, key)}, but {images.name} has {value}."
            )


def find_device(name: str) -> torch.device:
    """The device a setting names, made the current one; `auto` is a GPU where there is one.

    Raises:
        ConfigError: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()):
        raise ConfigError(f"device={name} is unknown; choose auto, cpu, cuda or cuda:1.")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device={name}: this machine shows {torch.cuda.device_count()} CUDA devices; "
            "use device=cpu or device=auto."
        )
    device = torch.device(name)
    if kind == "cuda":
        torch.cuda.set_device(device)  # streams and graphs are those of the current device
    return device


@torch.inference_mode()
def evaluate(
    model: nn.Module, images: Tensor, labels: Tensor, *, mean: Tensor, scale: Tensor, bf16: bool
) -> tuple[float, float]:
    """Loss and top-1 error in percent of a network on uint8 images (N, H, W, 3)."""
    model.eval()
    sums = torch.zeros(3, dtype=torch.float64, device=images.device)
    for x, y in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        logits = forward(model, normalise(x, mean=mean, scale=scale), bf16)
        add_metrics(sums, F.cross_entropy(logits, y), logits, y)
    return mean_metrics(sums)


def mean_metrics(sums: Tensor) -> tuple[float, float]:
    """Mean loss and error in percent of metric sums."""
    values = sums.tolist()
    return values[LOSS] / values[SEEN], 100 * values[WRONG] / values[SEEN]


def _on(device: torch.device, *arrays: Any) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(array).to(device) for array in arrays)
