"""Our training step against a conventional loop, step by step in one run, on this CPU.

python -m training.bench        prints both and writes results/bench/cpu_step.csv

The conventional loop is the usual one: a DataLoader over PIL images with torchvision transforms,
and the loss and the accuracy fetched with `.item()` in every step. Both train ResNet-20 with the
recipe of He et al. 2015 on random images of CIFAR-10's shape. They take turns, a step each, so
whatever else the machine does falls on both; what is compared is images per CPU-second, the
median over the rounds.
"""

import csv
import io
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.augment import statistics as image_statistics
from data.batches import Batches
from models.resnet import CifarResNet
from training.provenance import ROOT, machine, source
from training.record import write_atomically
from training.step import Step

BATCH = 128
ROUNDS, WARM_UP = 20, 3
IMAGES = 50_000


def ours(images: np.ndarray, labels: np.ndarray) -> Callable[[], None]:
    """The suite's step: batches made from tensors, channels last, nothing fetched."""
    model = CifarResNet(20).to(memory_format=torch.channels_last).train()
    mean, scale = image_statistics(images, "pixel", "none")
    batches = Batches(
        torch.from_numpy(images),
        torch.from_numpy(labels),
        mean=mean,
        scale=scale,
        batch=BATCH,
        wrap=True,
        pad=4,
        flip=True,
        seed=0,
    )
    batches.load(0, WARM_UP + ROUNDS)
    step = Step(model, optimizer(model), batches, torch.zeros(3, dtype=torch.float64))
    return lambda: step(BATCH)


class PilImages(Dataset):
    """Images as torchvision's data sets hand them out: PIL, transformed one at a time."""

    def __init__(self, images: np.ndarray, labels: np.ndarray):
        from torchvision import transforms

        self.images, self.labels = images, labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.491, 0.482, 0.447), (0.247, 0.243, 0.262)),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def conventional(images: np.ndarray, labels: np.ndarray) -> Callable[[], None]:
    """The usual step: DataLoader, PIL, loss and accuracy fetched every time."""
    model = CifarResNet(20).train()
    update = optimizer(model)
    loader: Iterator = iter(DataLoader(PilImages(images, labels), BATCH, shuffle=True))
    losses, correct = [], []

    def step() -> None:
        x, y = next(loader)
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        update.zero_grad()
        loss.backward()
        update.step()
        losses.append(loss.item())
        correct.append((logits.argmax(1) == y).sum().item())

    return step


def optimizer(model: torch.nn.Module) -> torch.optim.SGD:
    """The recipe's optimizer, the same for both."""
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)


def measure(steps: dict[str, Callable[[], None]]) -> dict[str, list[float]]:
    """CPU-seconds of every step of each loop, taken in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for count in range(WARM_UP + ROUNDS):
        for name, step in steps.items():
            start = time.process_time()
            step()
            if count >= WARM_UP:
                seconds[name].append(time.process_time() - start)
    return seconds


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, 10, IMAGES)
    loops = {"conventional": conventional(images, labels), "ours": ours(images, labels)}
    seconds = measure(loops)
    base = statistics.median(seconds["conventional"])
    facts = machine(torch.device("cpu")) | source()
    rows = [
        {
            "loop": name,
            "images_per_cpu_second": f"{BATCH / statistics.median(times):.1f}",
            "ratio": f"{base / statistics.median(times):.2f}",
            "rounds": ROUNDS,
            **{key: facts[key] for key in ("device", "threads", "torch", "commit")},
        }
        for name, times in seconds.items()
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path = Path(ROOT) / "results" / "bench" / "cpu_step.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.getvalue())
    for row in rows:
        print(f"{row['loop']:<13} {row['images_per_cpu_second']:>7} images/CPU-s  x{row['ratio']}")
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
