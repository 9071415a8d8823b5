"""Triton kernels for dense blocks that keep their feature maps in one buffer and normalise them
once.

All layers of a dense block normalise the same maps; only their scale and shift differ (Huang et al.
2017, Section 3). So each map's mean and variance are computed once, when it is written, and the
gradient from all layers, G = sum of weight_l dz_l, is corrected once:

    dmap = scale (G - mean(G) - xhat mean(G xhat))

The two means are weighted sums of the layers' gradients of shift and scale: exact algebra without
an extra pass. The buffer is a matrix of `rows` pixels by `stride` channels. `channels`, `stride`
and `first` are given in units of UNIT channels (see `tiles.Tiles.units`).
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
def write_kernel(
    new, maps, partial, rows, channels, stride, first, chunk,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, ACC: tl.constexpr, UNIT: tl.constexpr,
):  # fmt: skip
    """Copy new maps to `first` in the buffer, and compute partial sums as in `norm`."""
    channels, stride, first = channels * UNIT, stride * UNIT, first * UNIT
    column, inside = own_columns(channels, COLUMNS)
    shift = tl.load(new + column, inside, 0).to(ACC)
    sums = tl.zeros((ROWS, COLUMNS), ACC)
    squares = tl.zeros((ROWS, COLUMNS), ACC)
    for offset in range(0, chunk, ROWS):
        row, mask = own_rows(offset, chunk, rows, inside, ROWS)
        value = tl.load(new + row * channels + column[None, :], mask, 0)
        tl.store(maps + row * stride + first + column[None, :], value, mask)
        value = tl.where(mask, value.to(ACC) - shift[None, :], 0)
        sums += value
        squares += value * value
    store_sums(partial, sums, squares, channels, column, inside)


@triton.jit
def finish_kernel(
    maps, partial, mean, variance, rows, channels, first,
    COLUMNS: tl.constexpr, PROGRAMS: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Mean and variance of new maps from their partial sums."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < channels
    sums, squares = finished(partial, channels, column, inside, PROGRAMS)
    shift = tl.load(maps + first + column, inside, 0).to(ACC)
    offset = sums / rows
    tl.store(mean + first + column, shift + offset, inside)
    tl.store(variance + first + column, tl.maximum(squares / rows - offset * offset, 0), inside)


@triton.jit
def read_kernel(
    maps, y, weight, bias, mean, variance, running_mean, running_var,
    rows, channels, stride, chunk, eps, momentum,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, ACC: tl.constexpr, UNIT: tl.constexpr,
):  # fmt: skip
    """y = relu(normalised first `channels` maps); update the layer's running statistics."""
    channels, stride = channels * UNIT, stride * UNIT
    column, inside = own_columns(channels, COLUMNS)
    m = tl.load(mean + column, inside, 0)
    v = tl.load(variance + column, inside, 1)
    s = 1 / tl.sqrt(v + eps)
    if tl.program_id(0) == 0:
        move_statistics(running_mean, running_var, m, v, rows, momentum, column, inside, ACC)
    w = tl.load(weight + column, inside, 0).to(ACC)
    b = tl.load(bias + column, inside, 0).to(ACC)
    for offset in range(0, chunk, ROWS):
        row, mask = own_rows(offset, chunk, rows, inside, ROWS)
        value = tl.load(maps + row * stride + column[None, :], mask, 0).to(ACC)
        value = (value - m[None, :]) * s[None, :] * w[None, :] + b[None, :]
        y_place = y + row * channels + column[None, :]
        tl.store(y_place, tl.maximum(value, 0).to(y.dtype.element_ty), mask)


@triton.jit
def read_back_kernel(
    dy, maps, gradient, weight, bias, mean, variance, partial,
    rows, channels, stride, chunk, eps,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, LAST: tl.constexpr, ACC: tl.constexpr,
    UNIT: tl.constexpr,
):  # fmt: skip
    """Add weight dz to the gradient of the maps, which the last layer initialises, and compute
    partial sums of dz and dz xhat."""
    channels, stride = channels * UNIT, stride * UNIT
    column, inside = own_columns(channels, COLUMNS)
    m = tl.load(mean + column, inside, 0)
    s = 1 / tl.sqrt(tl.load(variance + column, inside, 1) + eps)
    w = tl.load(weight + column, inside, 0).to(ACC)
    b = tl.load(bias + column, inside, 0).to(ACC)
    sums = tl.zeros((ROWS, COLUMNS), ACC)
    products = tl.zeros((ROWS, COLUMNS), ACC)
    for offset in range(0, chunk, ROWS):
        row, mask = own_rows(offset, chunk, rows, inside, ROWS)
        place = row * stride + column[None, :]
        value = (tl.load(maps + place, mask, 0).to(ACC) - m[None, :]) * s[None, :]
        g = tl.load(dy + row * channels + column[None, :], mask, 0).to(ACC)
        g = tl.where(value * w[None, :] + b[None, :] > 0, g, 0)
        sums += g
        products += g * tl.where(mask, value, 0)
        g = g * w[None, :]
        if not LAST:
            g += tl.load(gradient + place, mask, 0).to(ACC)
        tl.store(gradient + place, g.to(gradient.dtype.element_ty), mask)
    store_sums(partial, sums, products, channels, column, inside)


@triton.jit
def finish_back_kernel(
    partial, weight, dweight, dbias, sums, products, channels,
    COLUMNS: tl.constexpr, PROGRAMS: tl.constexpr, LAST: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Gradients of a layer's scale and shift, and their weighted sums over the layers so far."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < channels
    first, second = finished(partial, channels, column, inside, PROGRAMS)
    tl.store(dbias + column, first, inside)
    tl.store(dweight + column, second, inside)
    w = tl.load(weight + column, inside, 0).to(ACC)
    first, second = w * first, w * second
    if not LAST:
        first += tl.load(sums + column, inside, 0)
        second += tl.load(products + column, inside, 0)
    tl.store(sums + column, first, inside)
    tl.store(products + column, second, inside)


@triton.jit
def write_back_kernel(
    gradient, maps, dnew, mean, variance, sums, products,
    rows, channels, stride, first, chunk, eps,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, ACC: tl.constexpr, UNIT: tl.constexpr,
):  # fmt: skip
    """Gradient of maps as they were written, from the gradients of all layers that read them."""
    channels, stride, first = channels * UNIT, stride * UNIT, first * UNIT
    column, inside = own_columns(channels, COLUMNS)
    m = tl.load(mean + first + column, inside, 0)
    s = 1 / tl.sqrt(tl.load(variance + first + column, inside, 1) + eps)
    first_mean = tl.load(sums + first + column, inside, 0) / rows
    second_mean = tl.load(products + first + column, inside, 0) / rows
    for offset in range(0, chunk, ROWS):
        row, mask = own_rows(offset, chunk, rows, inside, ROWS)
        place = row * stride + first + column[None, :]
        value = (tl.load(maps + place, mask, 0).to(ACC) - m[None, :]) * s[None, :]
        g = tl.load(gradient + place, mask, 0).to(ACC)
        g = s[None, :] * (g - first_mean[None, :] - value * second_mean[None, :])
        tl.store(dnew + row * channels + column[None, :], g.to(dnew.dtype.element_ty), mask)
