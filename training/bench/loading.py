"""Decoding and augmenting photographs: ours against the usual pipeline of torchvision."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from data.photographs import MEAN, STD, training_view
from data.stream import Planned, Views, make_loader
from data.tree import read_tree
from training.bench.times import paired_ratio

NAME = "loading"
SIZE, BATCH, ROUNDS = 224, 16, 40
MADE, SHAPE = 64, (375, 500)  # images that are made where there are none, of ImageNet's usual shape
SETS = ("imagenet", "imagenette")


def measure() -> list[dict[str, Any]]:
    """A row for each pipeline: images in a second of CPU, in one process, and the ratio."""
    torch.set_num_threads(1)
    with photographs() as folder:
        pipelines = {"conventional": conventional(folder), "ours": ours(folder)}
        seconds = take_turns({name: endless(make) for name, make in pipelines.items()})
    base = seconds["conventional"]
    return [
        {
            "network": NAME, "loop": name, "precision": "uint8" if name == "ours" else "fp32",
            "batch": BATCH, "images_per_second": round(BATCH / median(found), 1),
            "unit": "images/CPU-second", "ms_per_step": round(1000 * median(found), 3),
            "to_conventional": round(paired_ratio(base, found), 3), "to_eager": None,
            "to_constant_depth": None, "startup_seconds": 0.0, "compile_seconds": None,
            "megabytes": 0, "kernels": None, "floor_ms": None, "rounds": ROUNDS,
        }
        for name, found in seconds.items()
    ]  # fmt: skip


def conventional(folder: Path) -> Callable[[], Iterator[Any]]:
    """torchvision's ImageFolder and DataLoader, images as PIL reads them, in float32."""
    augmentation = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIZE),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize([m / 255 for m in MEAN], [s / 255 for s in STD]),
        ]
    )
    images = datasets.ImageFolder(str(folder), augmentation)
    return lambda: iter(DataLoader(images, BATCH, shuffle=True, drop_last=True))


def ours(folder: Path) -> Callable[[], Iterator[Any]]:
    """The same augmentation by our workers' code; colours and mean are left to the device."""
    tree = read_tree(folder)
    order = np.random.default_rng(0).permutation(len(tree)).tolist()
    keys = [(0, index) for index in order]
    planned = Planned(lambda i: keys[i * BATCH : (i + 1) * BATCH])
    planned.iterations = range(len(keys) // BATCH)
    views = Views(tree, training_view("aspect", SIZE), 0)
    loader = make_loader(views, planned, 0, torch.device("cpu"))
    return lambda: iter(loader)


def endless(make: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Batches, epoch after epoch."""
    while True:
        yield from make()


def take_turns(pipelines: dict[str, Iterator[Any]]) -> dict[str, list[float]]:
    """Seconds of CPU for every batch of each pipeline, a batch at a time in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in pipelines}
    for turn in range(ROUNDS + 1):
        for name, batches in pipelines.items():
            start = time.process_time()
            next(batches)
            if turn:  # the first one warms up
                seconds[name].append(time.process_time() - start)
    return seconds


@contextmanager
def photographs() -> Iterator[Path]:
    """A training tree that is at hand, or one of made images."""
    for name in SETS:
        folder = Path(os.environ.get("DATA_DIR", "datasets")) / name / "train"
        if folder.is_dir():
            yield folder
            return
    with tempfile.TemporaryDirectory() as made:
        random = np.random.default_rng(0)
        for number in range(MADE):
            folder = Path(made) / f"n{number % 2}"
            folder.mkdir(exist_ok=True)
            coarse = Image.fromarray(random.integers(0, 256, (48, 64, 3), np.uint8))
            smooth = np.asarray(coarse.resize(SHAPE[::-1], Image.Resampling.BICUBIC), np.int16)
            noisy = (smooth + random.integers(-12, 13, smooth.shape)).clip(0, 255)
            Image.fromarray(noisy.astype(np.uint8)).save(folder / f"{number}.JPEG", quality=90)
        yield Path(made)
