"""Triton kernels of 3x3 and 1x1 convolutions on channels-last maps.

Feature maps are matrices of `rows` = N H W pixels by channels. A convolution is a matrix product in
which every tap (a position of the filter) has its own rows of the input and of the weights:

    conv          y[row, n] = sum over taps and k of x[pixel(row, tap), k] weight[n, tap, k]
    conv, BACK    the gradient of x: from dy, the taps mirrored and the stride undone
    weights       partial sums, over some rows each, of dy[row, n] x[pixel(row, tap), k]
    total         adds them up, always in the same order

float32 maps are multiplied in TF32. The tensor cores of Hopper take TF32 only with the summed
dimension innermost, as in `conv`; `weights` sums over rows, which are outermost, so there each
number is split into a sum of two bfloat16 numbers, which together are more precise than TF32.

Channel counts are given in units of UNIT (see `tiles.Tiles.units`). Sums are float32.
"""

import triton
import triton.language as tl


@triton.jit
def pixel(
    row, tap, rows, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, READ_HEIGHT: tl.constexpr,
    READ_WIDTH: tl.constexpr, TAPS: tl.constexpr, STRIDE: tl.constexpr, BACK: tl.constexpr,
):  # fmt: skip
    """The pixel that a tap reads for a row of HEIGHT x WIDTH maps, and whether it exists."""
    down, right = 0 * tap, 0 * tap
    if TAPS == 9:
        down, right = tap // 3 - 1, tap % 3 - 1
    y, x = row // WIDTH % HEIGHT, row % WIDTH
    there = row < rows
    if BACK:  # the output y that reads this row of x through this tap: STRIDE y + tap = row
        y, x = y - down, x - right
        there &= (y % STRIDE == 0) & (x % STRIDE == 0) & (y >= 0) & (x >= 0)
        y, x = y // STRIDE, x // STRIDE
    else:
        y, x = y * STRIDE + down, x * STRIDE + right
        there &= (y >= 0) & (x >= 0)
    there &= (y < READ_HEIGHT) & (x < READ_WIDTH)
    return (row // (HEIGHT * WIDTH) * READ_HEIGHT + y) * READ_WIDTH + x, there


@triton.jit
def product(a, b, total, EMULATED: tl.constexpr):
    """total + a b; in float32 if EMULATED, since Triton's interpreter cannot multiply bfloat16."""
    if EMULATED:
        a, b = a.to(tl.float32), b.to(tl.float32)
    return tl.dot(a, b, total, input_precision="tf32")


@triton.jit
def halves(value):
    """Split a float32 number into a sum of two bfloat16 numbers."""
    high = value.to(tl.bfloat16)
    return high, (value - high.to(tl.float32)).to(tl.bfloat16)


@triton.jit
def conv_kernel(
    x, weight, y, rows, into, out,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, READ_HEIGHT: tl.constexpr, READ_WIDTH: tl.constexpr,
    TAPS: tl.constexpr, STRIDE: tl.constexpr, BACK: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
    UNIT_IN: tl.constexpr, UNIT_OUT: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """y (rows, out) from x (all pixels, into); with BACK, x is the gradient of the outputs and y
    that of the inputs."""
    into, out = into * UNIT_IN, out * UNIT_OUT
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    steps = tl.cdiv(into, DEPTH)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in range(TAPS * steps):
        tap = step // steps
        k = step % steps * DEPTH + tl.arange(0, DEPTH)
        read, there = pixel(
            row, tap, rows, HEIGHT, WIDTH, READ_HEIGHT, READ_WIDTH, TAPS, STRIDE, BACK
        )
        a = tl.load(x + read[:, None] * into + k[None, :], there[:, None] & (k < into)[None, :], 0)
        if BACK:
            place = (k[:, None] * TAPS + tap) * out + column[None, :]
        else:
            place = (column[None, :] * TAPS + tap) * into + k[:, None]
        b = tl.load(weight + place, (k < into)[:, None] & (column < out)[None, :], 0)
        total = product(a, b, total, EMULATED)
    place = y + row[:, None] * out + column[None, :]
    tl.store(place, total.to(y.dtype.element_ty), (row < rows)[:, None] & (column < out)[None, :])


@triton.jit
def weights_kernel(
    x, dy, partial, rows, into, out, chunk,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, READ_HEIGHT: tl.constexpr, READ_WIDTH: tl.constexpr,
    TAPS: tl.constexpr, STRIDE: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
    UNIT_IN: tl.constexpr, UNIT_OUT: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """partial[program, n, tap, k]: sums of dy[row, n] x[pixel(row, tap), k] over its rows."""
    into, out = into * UNIT_IN, out * UNIT_OUT
    j = tl.program_id(1) * DEPTH + tl.arange(0, DEPTH)
    column = tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    tap, k = j // into, j % into
    total = tl.zeros((DEPTH, COLUMNS), tl.float32)
    for offset in range(0, chunk, ROWS):
        row = tl.program_id(0) * chunk + offset + tl.arange(0, ROWS)
        read, there = pixel(
            row[None, :], tap[:, None], rows, HEIGHT, WIDTH, READ_HEIGHT, READ_WIDTH, TAPS, STRIDE,
            False,
        )  # fmt: skip
        a = tl.load(x + read * into + k[:, None], there & (tap < TAPS)[:, None], 0)
        mask = (row < rows)[:, None] & (column < out)[None, :]
        b = tl.load(dy + row[:, None] * out + column[None, :], mask, 0)
        if x.dtype.element_ty == tl.float32:
            a, a_low = halves(a)
            b, b_low = halves(b)
            total = product(a_low, b, total, EMULATED)
            total = product(a, b_low, total, EMULATED)
        total = product(a, b, total, EMULATED)
    place = (tl.program_id(0) * out + column)[None, :] * (TAPS * into) + j[:, None]
    tl.store(partial + place, total, (tap < TAPS)[:, None] & (column < out)[None, :])


@triton.jit
def total_kernel(partial, total, count, PROGRAMS: tl.constexpr, ELEMENTS: tl.constexpr):
    """total[i]: the sum of partial[program, i] over the programs."""
    i = tl.program_id(0) * ELEMENTS + tl.arange(0, ELEMENTS)
    program = tl.arange(0, PROGRAMS)[:, None]
    summands = tl.load(partial + program * count + i[None, :], (i < count)[None, :], 0)
    tl.store(total + i, tl.sum(summands, 0).to(total.dtype.element_ty), i < count)
