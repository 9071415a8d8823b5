"""The loops that are compared: each is made ready, and then called once for every step."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.arrays import ImageSet
from training.graph import Captured
from training.network import build_model
from training.settings import Data, Settings
from training.trainer import Trainer

Step = Callable[[], None]
WORKERS = 4  # of the conventional loop on a GPU; on the CPU the work is counted in its process
# Enough that no loop comes to the end of an epoch, where a batch may be short.
IMAGES = {"cpu": 10_000, "cuda": 50_000}


def random_images(device: str) -> ImageSet:
    """A set of CIFAR-10's shape; what the pixels show does not change the work."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (IMAGES[device], 32, 32, 3), dtype=np.uint8)
    y = rng.integers(0, 10, len(x))
    return ImageSet("random", x, y, x[:1000], y[:1000], tuple(map(str, range(10))))


@cache  # composing takes a tenth of a second
def read(row: str, *overrides: str) -> Settings:
    """The settings of a row, as train.py reads them."""
    from hydra import compose, initialize_config_dir

    from training.config import read_settings
    from training.entry import CONF

    with initialize_config_dir(str(CONF), version_base="1.3"):
        return read_settings(compose("config", overrides=[f"experiment={row}", *overrides]))


def ours(settings: Settings, device: str) -> Step:
    """The suite's trainer: a step of one of its engines."""
    return steps_of(Trainer(settings, random_images(device), torch.device(device)))


def steps_of(trainer: Trainer) -> Step:
    """A trainer's iterations, without the evaluations between them.

    Raises:
        RuntimeError: its step was to be captured and could not be.
    """
    end = 0

    def step() -> None:
        nonlocal end
        if trainer.iteration >= end:
            trainer.start_segment()
            end = trainer.next_evaluation()
        trainer.train_iteration()
        if isinstance(trainer.step, Captured) and trainer.step.eager:
            raise RuntimeError("the step cannot be captured")

    return step


def compiled_model(settings: Settings, device: str) -> Step:
    """Our step around the whole network compiled by torch.compile in one piece."""
    trainer = Trainer(settings, random_images(device), torch.device(device))
    assert not isinstance(trainer.step, Captured), "nothing else than torch.compile is measured"
    trainer.model.compile(dynamic=False)
    return steps_of(trainer)


def together(settings: Settings, count: int) -> Step:
    """Several runs at once on a GPU, each captured and on its own stream, launched in turn."""
    streams = [torch.cuda.Stream() for _ in range(count)]
    steps = []
    for seed, stream in enumerate(streams):
        with torch.cuda.stream(stream):
            steps.append(ours(replace(settings, seed=seed), "cuda"))

    def step() -> None:
        for one, stream in zip(steps, streams, strict=True):
            with torch.cuda.stream(stream):
                one()
            # Nobody waits for the current stream, so the runs stay independent; it ends last.
            torch.cuda.current_stream().wait_stream(stream)

    return step


class PilImages(Dataset):
    """Images as torchvision's data sets hand them out: PIL, transformed one at a time."""

    def __init__(self, images: ImageSet, data: Data):
        from torchvision import transforms

        self.images, self.labels = images.train_images, images.train_labels.tolist()
        self.transform = transforms.Compose(
            [
                *([transforms.RandomCrop(data.size, padding=data.pad)] if data.pad else []),
                *([transforms.RandomHorizontalFlip()] if data.flip else []),
                transforms.ToTensor(),
                transforms.Normalize((0.491, 0.482, 0.447), (0.247, 0.243, 0.262)),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def conventional(settings: Settings, device: str) -> Step:
    """The usual loop: DataLoader over PIL images, autocast on a GPU, `.item()` in every step."""
    cuda = device == "cuda"
    torch.backends.cudnn.benchmark = cuda  # as popular repositories have it
    if settings.threads:
        torch.set_num_threads(settings.threads)
    model, recipe = build_model(settings).to(device).train(), settings.recipe
    optimizer = torch.optim.SGD(
        model.parameters(), lr=recipe.lr, momentum=recipe.momentum,
        weight_decay=recipe.weight_decay, nesterov=recipe.nesterov,
    )  # fmt: skip
    loader = DataLoader(
        PilImages(random_images(device), settings.data), recipe.batch, shuffle=True, drop_last=True,
        num_workers=WORKERS if cuda else 0, pin_memory=cuda, persistent_workers=cuda,
    )  # fmt: skip
    batches = endless(loader)
    losses, correct = [], []

    def step() -> None:
        x, y = (tensor.to(device) for tensor in next(batches))
        with torch.autocast(device, torch.bfloat16, enabled=cuda):
            logits = model(x)
            loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        correct.append((logits.argmax(1) == y).sum().item())

    return step


def endless(loader: DataLoader) -> Iterator[Any]:
    """The batches of one epoch after another."""
    while True:
        yield from loader


KINDS: dict[str, Callable[[Settings, str], Step]] = {
    "ours": ours,
    "conventional": conventional,
    "compiled_model": compiled_model,
}
