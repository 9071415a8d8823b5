"""A Triton kernel for the end of the forward pass: cross-entropy, its gradient, the metric sums."""

import torch
import triton
import triton.language as tl
from torch import Tensor

ELEMENTS = 4096


@triton.jit
def loss_kernel(
    logits, labels, gradient, sums, rows, classes,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """A single program, so that the order of summation is always the same."""
    column = tl.arange(0, COLUMNS)
    losses = tl.zeros((ROWS,), tl.float64)
    wrong = tl.zeros((ROWS,), tl.int32)
    for start in range(0, rows, ROWS):
        row = start + tl.arange(0, ROWS)
        inside = row < rows
        mask = inside[:, None] & (column < classes)[None, :]
        place = row[:, None] * classes + column[None, :]
        value = tl.load(logits + place, mask, -float("inf")).to(ACC)
        label = tl.load(labels + row, inside, 0)
        most = tl.where(inside, tl.max(value, 1), 0)
        value = value - most[:, None]
        power = tl.where(mask, tl.exp(value), 0)
        total = tl.where(inside, tl.sum(power, 1), 1)
        hit = mask & (column[None, :] == label[:, None])
        at_label = tl.sum(tl.where(hit, value, 0), 1)
        losses += tl.where(inside, tl.log(total) - at_label, 0).to(tl.float64)
        # As `argmax`: the first of several maxima.
        best = tl.min(tl.where(mask & (value == 0), column[None, :], COLUMNS), 1)
        wrong += (inside & (best != label)).to(tl.int32)
        g = (power / total[:, None] - tl.where(hit, 1, 0)) / rows
        tl.store(gradient + place, g.to(gradient.dtype.element_ty), mask)
    tl.store(sums, tl.load(sums) + tl.sum(losses, 0))
    tl.store(sums + 1, tl.load(sums + 1) + tl.sum(wrong, 0))
    tl.store(sums + 2, tl.load(sums + 2) + rows)


def cross_entropy(logits: Tensor, labels: Tensor, sums: Tensor) -> Tensor:
    """Return the gradient of the mean cross-entropy for the logits (N, classes), in their dtype.

    Adds the summed loss, wrong predictions and samples to the metric sums, float64 (3,).
    """
    logits = logits.contiguous()
    rows, classes = logits.shape
    columns = triton.next_power_of_2(classes)
    gradient = torch.empty_like(logits)
    loss_kernel[(1,)](
        logits, labels, gradient, sums, rows, classes,
        ROWS=max(1, min(ELEMENTS // columns, triton.next_power_of_2(rows))), COLUMNS=columns,
        ACC=tl.float64 if logits.dtype == torch.float64 else tl.float32,
        num_warps=4,
    )  # fmt: skip
    return gradient
