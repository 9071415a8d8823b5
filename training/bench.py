"""Our training step against a conventional loop, step by step in one run, on this CPU.

python -m training.bench        prints both and writes results/bench/cpu_step.csv

The conventional loop is the usual one: a DataLoader over PIL images with torchvision transforms,
and the loss and the accuracy fetched with `.item()` in every step. Both train ResNet-20 with the
recipe of He et al. 2015 on random images of CIFAR-10's shape, each in a process of its own with one
thread. They take turns, a step each, so that whatever else the machine does falls on both. What is
compared is images per CPU-second: the medians over the rounds, and the median of the ratios.
"""

import csv
import io
import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.arrays import ImageSet
from models.resnet import ResNet
from training.provenance import ROOT, machine, peak_memory, source
from training.record import write_atomically

BATCH = 128
ROUNDS, WARM_UP = 40, 3
Make = Callable[[], Callable[[], None]]
ROW = "he2015_residual/table6/resnet20"


def random_images() -> ImageSet:
    """A set of CIFAR-10's shape; what the pixels show does not change the work."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (10_000, 32, 32, 3), dtype=np.uint8)
    y = rng.integers(0, 10, len(x))
    return ImageSet("random", x, y, x[:1000], y[:1000], tuple(map(str, range(10))))


def ours(row: str = ROW, *overrides: str) -> Callable[[], None]:
    """The suite's trainer, as `train.py` makes it."""
    from hydra import compose, initialize_config_dir

    from training.config import read_settings
    from training.entry import CONF
    from training.trainer import Trainer

    with initialize_config_dir(str(CONF), version_base="1.3"):
        choices = [f"experiment={row}", "threads=1", *overrides]
        settings = read_settings(compose("config", overrides=choices))
    trainer = Trainer(settings, random_images(), torch.device("cpu"))
    trainer.start_segment()
    return trainer.train_iteration


class PilImages(Dataset):
    """Images as torchvision's data sets hand them out: PIL, transformed one at a time."""

    def __init__(self, images: ImageSet):
        from torchvision import transforms

        self.images, self.labels = images.train_images, images.train_labels.tolist()
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
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def conventional() -> Callable[[], None]:
    """The usual step: DataLoader, PIL, loss and accuracy fetched every time."""
    torch.set_num_threads(1)
    model = ResNet(20).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    batches: Iterator = iter(DataLoader(PilImages(random_images()), BATCH, shuffle=True))
    losses, correct = [], []

    def step() -> None:
        x, y = next(batches)
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        correct.append((logits.argmax(1) == y).sum().item())

    return step


def serve(make: Make, pipe: Connection) -> None:
    """Do a step whenever asked, and answer with its CPU-seconds and the memory it took so far."""
    step = make()
    before = peak_memory(torch.device("cpu"))
    while pipe.recv():
        start = time.process_time()
        step()
        seconds = time.process_time() - start
        pipe.send((seconds, peak_memory(torch.device("cpu")) - before))


def measure(
    loops: dict[str, Make], rounds: int = ROUNDS
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """CPU-seconds of every step of each loop, taken in turns; bytes its steps took at most."""
    context = multiprocessing.get_context("spawn")
    pipes = {}
    for name, make in loops.items():
        pipes[name], theirs = context.Pipe()
        context.Process(target=serve, args=(make, theirs), daemon=True).start()
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    memory = dict.fromkeys(loops, 0)
    for _ in range(WARM_UP + rounds):
        for name, pipe in pipes.items():
            pipe.send(True)
            time_taken, memory[name] = pipe.recv()
            seconds[name].append(time_taken)
    for pipe in pipes.values():
        pipe.send(False)
    return {name: times[WARM_UP:] for name, times in seconds.items()}, memory


def compared(seconds: dict[str, list[float]], batch: int = BATCH) -> list[dict[str, object]]:
    """A row a loop: its speed, and its ratio to the first one, round by round."""
    base = next(iter(seconds.values()))
    facts = machine(torch.device("cpu")) | source()
    paired = {k: median(a / b for a, b in zip(base, v, strict=True)) for k, v in seconds.items()}
    return [
        {
            "loop": name,
            "images_per_cpu_second": f"{batch / median(times):.1f}",
            "median_of_paired_ratios": f"{paired[name]:.3f}",
            "rounds": len(times),
            **{key: facts[key] for key in ("device", "torch", "commit")},
        }
        for name, times in seconds.items()
    ]


def report(rows: list[dict[str, object]], name: str) -> None:
    """Print what was measured, and write it to results/bench."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path = Path(ROOT) / "results" / "bench" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.getvalue())
    for row in rows:
        speed = f"{row['loop']:<14} {row['images_per_cpu_second']:>7} images/CPU-s"
        memory = f", {row['megabytes']} MB" if "megabytes" in row else ""
        print(f"{speed}  x{row['median_of_paired_ratios']} (median of paired ratios){memory}")
    print(path.relative_to(ROOT))


def main() -> None:
    seconds, _ = measure({"conventional": conventional, "ours": ours})
    report(compared(seconds), "cpu_step")


if __name__ == "__main__":
    main()
