"""A Triton kernel that builds a training batch: gather, normalise, crop, mirror."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from data.arrays.augment import FLIP, INDEX, LEFT, TOP

COLUMNS_OF_PLAN = 4


@triton.jit
def gather_kernel(
    images, labels, plan, position, mean, scale, batch, chosen, height, width, channels, pad,
    mean_stride, scale_stride,
    ELEMENTS: tl.constexpr, FIELDS: tl.constexpr, INDEX: tl.constexpr, TOP: tl.constexpr,
    LEFT: tl.constexpr, FLIP: tl.constexpr,
):  # fmt: skip
    """One program per image; `mean_stride` is the number of means per pixel, or 0 if all pixels
    share them; `scale_stride` is 1, or 0 if all channels share one scale."""
    sample = tl.program_id(0)
    row = plan + (tl.load(position) + sample) * FIELDS
    index = tl.load(row + INDEX)
    top = tl.load(row + TOP) - pad
    left = tl.load(row + LEFT) - pad
    flip = tl.load(row + FLIP)
    size = height * width * channels
    element = tl.arange(0, ELEMENTS)
    mask = element < size
    channel = element % channels
    column = element // channels % width
    column = tl.where(flip > 0, width - 1 - column, column)
    y = element // channels // width + top
    x = column + left
    inside = mask & (y >= 0) & (y < height) & (x >= 0) & (x < width)
    pixel = y * width + x
    value = tl.load(images + index * size + pixel * channels + channel, inside, 0).to(tl.float32)
    value -= tl.load(mean + pixel * mean_stride + channel, inside, 0)
    value *= tl.load(scale + channel * scale_stride, inside, 0)
    tl.store(batch + sample * size + element, value.to(batch.dtype.element_ty), mask)
    tl.store(chosen + sample, tl.load(labels + index))


def gather(
    images: Tensor, labels: Tensor, plan: Tensor, position: Tensor, size: int, *, pad: int,
    mean: Tensor, scale: Tensor, dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Do `data.arrays.augment.crop_and_flip` for `size` rows of a plan, starting at `position`.

    Returns:
        images of type `dtype` (size, 3, H, W), channels last in memory, and labels int64 (size,).
    """
    _, height, width, channels = images.shape
    batch = torch.empty((size, height, width, channels), dtype=dtype, device=images.device)
    chosen = torch.empty(size, dtype=torch.int64, device=images.device)
    gather_kernel[(size,)](
        images, labels, plan, position, mean, scale, batch, chosen, height, width, channels, pad,
        channels if mean.ndim == 3 else 0, 1 if scale.ndim else 0,
        ELEMENTS=triton.next_power_of_2(height * width * channels), FIELDS=COLUMNS_OF_PLAN,
        INDEX=INDEX, TOP=TOP, LEFT=LEFT, FLIP=FLIP, num_warps=8,
    )  # fmt: skip
    return batch.permute(0, 3, 1, 2), chosen
