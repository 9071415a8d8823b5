"""The loops that are compared: each is set up once, then called for every step."""

from collections.abc import Callable
from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from data.arrays.imageset import ImageSet
from training.engines.graph import Captured
from training.settings.settings import Data, Settings
from training.trainer import Trainer

Step = Callable[[], None]
WORKERS = 4  # of the conventional loop on a GPU; on a CPU it loads, and is timed, in one process
IMAGES = 50_000  # so many that no loop reaches the end of an epoch, where a batch may be short
MEAN, STD = (0.491, 0.482, 0.447), (0.247, 0.243, 0.262)  # as in popular repositories


def ours(settings: Settings, images: ImageSet, device: str, *, whole: bool = False) -> Step:
    """The suite's iterations, without evaluations; `whole` compiles the network in one piece.

    Raises:
        RuntimeError: the step should be captured but cannot be.
    """
    trainer, end = Trainer(settings, images, torch.device(device)), 0
    if whole:
        trainer.model.compile(dynamic=False)

    def step() -> None:
        nonlocal end
        if trainer.iteration >= end:
            end = trainer.begin_segment()
        trainer.train_iteration()
        if isinstance(trainer.step, Captured) and trainer.step.fault:
            raise RuntimeError("the step cannot be captured")

    return step


class PilImages(Dataset):
    """Images as torchvision's data sets return them: PIL, transformed one at a time."""

    def __init__(self, images: ImageSet, data: Data):
        self.images, self.labels = images.train_images, images.train_labels.tolist()
        crop = [transforms.RandomCrop(data.size, padding=data.pad)] if data.pad else []
        flip = [transforms.RandomHorizontalFlip()] if data.flip else []
        self.transform = transforms.Compose(
            [*crop, *flip, transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = transforms.functional.to_pil_image(self.images[index])
        return self.transform(image), self.labels[index]


def conventional(model: nn.Module, settings: Settings, images: ImageSet, device: str) -> Step:
    """The usual loop: DataLoader over PIL images, autocast on a GPU, `.item()` in every step."""
    cuda, recipe = device == "cuda", settings.recipe
    torch.backends.cudnn.benchmark = cuda
    if settings.threads:
        torch.set_num_threads(settings.threads)
    model = model.to(device).train()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=recipe.lr, momentum=recipe.momentum,
        weight_decay=recipe.weight_decay, nesterov=recipe.nesterov,
    )  # fmt: skip
    loader = DataLoader(
        PilImages(images, settings.data), recipe.batch, shuffle=True, drop_last=True,
        num_workers=WORKERS if cuda else 0, pin_memory=cuda, persistent_workers=cuda,
    )  # fmt: skip
    batches = (batch for _ in count() for batch in loader)  # one epoch after another
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
