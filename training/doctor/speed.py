"""Twenty steps of ResNet-20 with each engine: whether they agree, and how fast they are.

python -m training.doctor.speed     # seconds per step on the first GPU, with default settings
"""

import time
from collections.abc import Iterator

import torch

from data.arrays.imageset import random_images
from training.doctor.finding import Finding
from training.settings.config import composed
from training.trainer import Trainer

STEPS, WARM_UP = 20, 3
BATCH, IMAGES = 128, 4096  # more than the steps take
ROW = "he2015_residual/table6/resnet20"
# Other kernels round differently, and twenty steps amplify it.
NEAR = 0.02


def engines() -> Iterator[Finding]:
    """Train briefly on random images with each engine; the others are compared to the first."""
    expected, where = None, device()
    for name in ("eager", "captured", "fused") if where != "cpu" else ("eager",):
        loss, seconds = steps(f"engine={name}", "precision=fp32", device=where)
        measured = (
            f"{BATCH / seconds:,.0f} images/s, loss {loss:.4f} after {STEPS} steps of ResNet-20"
        )
        expected = loss if expected is None else expected
        if abs(loss - expected) <= NEAR * expected:
            yield Finding("ok", name, measured)
        else:
            yield Finding("FAIL", name, f"{measured}, but {expected:.4f} by engine=eager",
                          f"Do not use engine={name} here.")  # fmt: skip


def steps(*changes: str, device: str) -> tuple[float, float]:
    """Mean loss over twenty steps, and seconds per step."""
    settings = composed(f"experiment={ROW}", *changes)
    trainer = Trainer(settings, random_images(IMAGES), torch.device(device))
    end, begin = trainer.begin_segment(), 0.0
    assert end > STEPS
    for number in range(STEPS):
        if number == WARM_UP:
            wait(device)
            begin = time.monotonic()
        trainer.train_iteration()
    wait(device)
    seconds = time.monotonic() - begin
    return trainer.metrics.take()[0], seconds / (STEPS - WARM_UP)


def device() -> str:
    """Where steps are timed: the first GPU, or the CPU where there is none."""
    return "cuda:0" if torch.cuda.is_available() else "cpu"


def wait(device: str) -> None:
    """Wait until launched kernels have finished."""
    if device != "cpu":
        torch.cuda.synchronize(device)


CHECKS = (engines,)


if __name__ == "__main__":
    print(steps(device=device())[1])
