"""Triton kernels of batch normalisation with the additions and the ReLU around it.

Feature maps are matrices of `rows` = N H W pixels by `channels`, the memory of a channels-last
tensor. In training, y = relu(normalised(x + before) + after) takes two kernels forward and two
backward:

    statistics   reads x (and `before`); partial sums of every channel
    apply        finishes the sums, writes y
    reduce       reads dy, x (and y); partial sums of dy and dy xhat
    correct      finishes the sums, writes dx

Each program of `apply` and `correct` adds up the partial sums itself, always in the same order: a
few reads from the cache, but no atomics, no third kernel, and deterministic results. Sums are in
ACC (float32, or float64 for float64 maps) and of differences from the first row, so that a mean far
from zero costs no precision. `channels` is given in units of UNIT (see `tiles.Tiles.units`).
"""

import triton
import triton.language as tl

from training.engines.kernels.tiles import (
    finished,
    move_statistics,
    own_columns,
    own_rows,
    store_sums,
)


@triton.jit
def statistics_kernel(
    x, before, total, partial, rows, channels, chunk,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, UNIT: tl.constexpr, ADD: tl.constexpr,
    ACC: tl.constexpr,
):  # fmt: skip
    """partial[0 or 1, program, channel]: sums of (x + before) - its first row, and of its square;
    total = x + before."""
    channels = channels * UNIT
    column, inside = own_columns(channels, COLUMNS)
    shift = tl.load(x + column, inside, 0).to(ACC)
    if ADD:
        shift += tl.load(before + column, inside, 0).to(ACC)
        shift = shift.to(total.dtype.element_ty).to(ACC)
    first = tl.zeros((ROWS, COLUMNS), ACC)
    second = tl.zeros((ROWS, COLUMNS), ACC)
    for offset in range(0, chunk, ROWS):
        row, mask = own_rows(offset, chunk, rows, inside, ROWS)
        place = row * channels + column[None, :]
        value = tl.load(x + place, mask, 0).to(ACC)
        if ADD:
            value += tl.load(before + place, mask, 0).to(ACC)
            rounded = value.to(total.dtype.element_ty)
            tl.store(total + place, rounded, mask)
            value = rounded.to(ACC)
        value = tl.where(mask, value - shift[None, :], 0)
        first += value
        second += value * value
    store_sums(partial, first, second, channels, column, inside)


@triton.jit
def apply_kernel(
    x, after, y, weight, bias, partial, mean, scale, running_mean, running_var,
    rows, channels, chunk, eps, momentum,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, UNIT: tl.constexpr, PROGRAMS: tl.constexpr,
    TRAINING: tl.constexpr, ADD: tl.constexpr, RELU: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """y = relu((x - mean) scale weight + bias + after); in training, mean and scale (1 / standard
    deviation) come from `partial`, are stored, and update the running statistics."""
    channels = channels * UNIT
    column, inside = own_columns(channels, COLUMNS)
    if TRAINING:
        first, second = finished(partial, channels, column, inside, PROGRAMS)
        shift = tl.load(x + column, inside, 0).to(ACC)
        offset = first / rows
        variance = tl.maximum(second / rows - offset * offset, 0)
        m = shift + offset
        s = 1 / tl.sqrt(variance + eps)
        if tl.program_id(0) == 0:
            tl.store(mean + column, m, inside)
            tl.store(scale + column, s, inside)
            move_statistics(
                running_mean, running_var, m, variance, rows, momentum, column, inside, ACC
            )
    else:
        m = tl.load(running_mean + column, inside, 0).to(ACC)
        s = 1 / tl.sqrt(tl.load(running_var + column, inside, 1).to(ACC) + eps)
    w = tl.load(weight + column, inside, 0).to(ACC)
    b = tl.load(bias + column, inside, 0).to(ACC)
    for offset in range(0, chunk, ROWS):
        row, mask = own_rows(offset, chunk, rows, inside, ROWS)
        place = row * channels + column[None, :]
        value = tl.load(x + place, mask, 0).to(ACC)
        value = (value - m[None, :]) * s[None, :] * w[None, :] + b[None, :]
        if ADD:
            value += tl.load(after + place, mask, 0).to(ACC)
        if RELU:
            value = tl.maximum(value, 0)
        tl.store(y + place, value.to(y.dtype.element_ty), mask)


@triton.jit
def masked_gradient(
    dy, dy2, y, value, w, b, place, mask,
    TWICE: tl.constexpr, ADD: tl.constexpr, RELU: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Gradient before the ReLU; its mask comes from x if nothing was added, else from y."""
    gradient = tl.load(dy + place, mask, 0).to(ACC)
    if TWICE:
        gradient += tl.load(dy2 + place, mask, 0).to(ACC)
    if RELU:
        if ADD:
            alive = tl.load(y + place, mask, 0) > 0
        else:
            alive = value * w[None, :] + b[None, :] > 0
        gradient = tl.where(alive, gradient, 0)
    return gradient


@triton.jit
def reduce_kernel(
    dy, dy2, x, y, dz, weight, bias, mean, scale, partial, rows, channels, chunk,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, UNIT: tl.constexpr, TWICE: tl.constexpr,
    ADD: tl.constexpr, RELU: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """partial[0 or 1, program, channel]: sums of dz and of dz xhat; with ADD, dz, the gradient
    before the ReLU, is written because it is also the gradient of `after`."""
    channels = channels * UNIT
    column, inside = own_columns(channels, COLUMNS)
    m = tl.load(mean + column, inside, 0)
    s = tl.load(scale + column, inside, 0)
    w = tl.load(weight + column, inside, 0).to(ACC)
    b = tl.load(bias + column, inside, 0).to(ACC)
    first = tl.zeros((ROWS, COLUMNS), ACC)
    second = tl.zeros((ROWS, COLUMNS), ACC)
    for offset in range(0, chunk, ROWS):
        row, mask = own_rows(offset, chunk, rows, inside, ROWS)
        place = row * channels + column[None, :]
        value = (tl.load(x + place, mask, 0).to(ACC) - m[None, :]) * s[None, :]
        g = masked_gradient(dy, dy2, y, value, w, b, place, mask, TWICE, ADD, RELU, ACC)
        if ADD:
            rounded = g.to(dz.dtype.element_ty)
            tl.store(dz + place, rounded, mask)
            g = rounded.to(ACC)
        first += g
        second += g * tl.where(mask, value, 0)
    store_sums(partial, first, second, channels, column, inside)


@triton.jit
def correct_kernel(
    dy, dy2, x, dz, through, dx, weight, bias, dweight, dbias, mean, scale, partial,
    rows, channels, chunk,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, UNIT: tl.constexpr, PROGRAMS: tl.constexpr,
    TWICE: tl.constexpr, ADD: tl.constexpr, RELU: tl.constexpr, THROUGH: tl.constexpr,
    ACC: tl.constexpr,
):  # fmt: skip
    """dx = weight scale (dz - mean(dz) - xhat mean(dz xhat)) + through, and the gradients of weight
    and bias. `through` is the gradient that reaches x from elsewhere."""
    channels = channels * UNIT
    column, inside = own_columns(channels, COLUMNS)
    first, second = finished(partial, channels, column, inside, PROGRAMS)
    m = tl.load(mean + column, inside, 0)
    s = tl.load(scale + column, inside, 0)
    w = tl.load(weight + column, inside, 0).to(ACC)
    b = tl.load(bias + column, inside, 0).to(ACC)
    if tl.program_id(0) == 0:
        tl.store(dbias + column, first, inside)
        tl.store(dweight + column, second, inside)
    first, second = first / rows, second / rows
    for offset in range(0, chunk, ROWS):
        row, mask = own_rows(offset, chunk, rows, inside, ROWS)
        place = row * channels + column[None, :]
        value = (tl.load(x + place, mask, 0).to(ACC) - m[None, :]) * s[None, :]
        if ADD:
            g = tl.load(dz + place, mask, 0).to(ACC)
        else:
            g = masked_gradient(dy, dy2, x, value, w, b, place, mask, TWICE, False, RELU, ACC)
        g = (w * s)[None, :] * (g - first[None, :] - value * second[None, :])
        if THROUGH:
            g += tl.load(through + place, mask, 0).to(ACC)
        tl.store(dx + place, g.to(dx.dtype.element_ty), mask)
