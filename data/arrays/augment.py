"""Random crops and flips: drawn once per epoch on the CPU, applied in batches on the device."""

import numpy as np
import torch
from torch import Tensor

from data.arrays.imageset import channel_statistics
from data.order import derived_seed

# Columns of an epoch's plan, which has one row per training sample.
INDEX, TOP, LEFT, FLIP = range(4)


def draw_epoch(images: int, *, seed: int, epoch: int, pad: int, flip: bool) -> Tensor:
    """Draw the order, crop offsets and flips of one epoch: a pure function of its arguments.

    Returns:
        int64 (images, 4): image index, crop offset from the top and from the left of the padded
        image (independent, uniform over 0 .. 2 pad), and 1 where the crop is mirrored (with
        probability 1/2 if `flip`).
    """
    generator = torch.Generator().manual_seed(derived_seed(seed, epoch))
    plan = torch.zeros(images, 4, dtype=torch.int64)
    plan[:, INDEX] = torch.randperm(images, generator=generator)
    offsets = torch.randint(0, 2 * pad + 1, (images, 2), generator=generator)
    plan[:, TOP : LEFT + 1] = offsets
    mirrored = torch.randint(0, 2, (images,), generator=generator)
    plan[:, FLIP] = mirrored if flip else 0
    return plan


def crop_and_flip(
    images: Tensor,
    plan: Tensor,
    *,
    pad: int,
    mean: Tensor,
    scale: Tensor,
    border: str = "zero",
) -> Tensor:
    """Gather, normalise, pad, crop and mirror a batch.

    The mean is subtracted at each pixel's original position, before padding, so that a zero border
    is exactly zero (as in the authors' codes).

    Args:
        images: uint8 or float32 (N, H, W, 3), the whole set.
        plan: int64 (B, 4), rows of `draw_epoch`.
        mean: float32 (H, W, 3) or (3,), subtracted.
        scale: float32 (3,) or (), multiplied after that.
        border: padding: `zero`, or `reflect`, the image mirrored at its edge pixels.

    Returns:
        float32 (B, 3, H, W), channels last in memory.
    """
    _, height, width, channels = images.shape
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    index, top, left, flip = plan.unbind(1)
    y = rows + (top - pad)[:, None]
    x = torch.where(flip[:, None] > 0, width - 1 - columns, columns) + (left - pad)[:, None]
    if border == "reflect":
        y, x = _reflected(y, height), _reflected(x, width)
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    pixel = y.clamp(0, height - 1)[:, :, None] * width + x.clamp(0, width - 1)[:, None, :]
    source = pixel + index[:, None, None] * (height * width)
    batch = images.view(-1, channels)[source.view(-1)].view(len(plan), height, width, channels)
    mean = mean.expand(height, width, channels).reshape(-1, channels)[pixel.view(-1)]
    batch = (batch - mean.view(batch.shape)) * scale
    return (batch * inside[..., None]).permute(0, 3, 1, 2)


def _reflected(place: Tensor, size: int) -> Tensor:
    """Mirror positions outside an image, by at most its size - 1, to positions inside."""
    return (size - 1) - ((size - 1) - place.abs()).abs()


def normalise(images: Tensor, *, mean: Tensor, scale: Tensor) -> Tensor:
    """Normalise test images, uint8 or float32 (B, H, W, 3), to float32 (B, 3, H, W)."""
    return ((images - mean) * scale).permute(0, 3, 1, 2)


def statistics(images: np.ndarray, mean: str, std: str) -> tuple[Tensor, Tensor]:
    """Mean and scale of the training images, for `crop_and_flip` and `normalise`.

    Args:
        images: uint8 (N, H, W, 3), or float32 with mean `pixel` or `none` and std `none`.
        mean: `pixel` (one value per pixel and channel), `channel`, `half` (127.5), or `none` (0).
        std: `channel` or `global` (one deviation over all pixels and channels), `255`, `half`
            (127.5), or `none` (1); the scale is its reciprocal, 1 where all values are equal.
    """
    used = mean == "channel" or std in ("channel", "global")  # never of prepared (float32) images
    exact = channel_statistics(images) if used else np.array([[0] * 3, [1] * 3])
    means, deviations = (torch.tensor(x, dtype=torch.float64) for x in exact)
    # Total variance: within the channels plus between them.
    whole = (deviations.square().mean() + means.var(correction=0)).sqrt()
    scales = {
        "none": torch.ones((), dtype=torch.float64),
        "channel": 1 / deviations.where(deviations > 0, 1),
        "global": 1 / whole.where(whole > 0, 1),
        "255": torch.tensor(1 / 255, dtype=torch.float64),
        "half": torch.tensor(1 / 127.5, dtype=torch.float64),
    }
    if mean == "pixel":
        means = torch.from_numpy(images.mean(axis=0, dtype=np.float64))
    elif mean != "channel":
        means = torch.full((3,), {"none": 0.0, "half": 127.5}[mean], dtype=torch.float64)
    return means.float(), scales[std].float()
