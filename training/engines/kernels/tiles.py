"""How a matrix of feature maps is divided among the programs of a kernel, and how their sums are
combined."""

from math import gcd
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from training.settings.types import ConfigError

ELEMENTS = 4096  # per tile: 32 per thread
THREADS = 4  # warps per program
MAX_PROGRAMS = 128  # that share the rows: about one per multiprocessor of a large GPU
MAX_COLUMNS = 64
LOAD_BYTES = 16  # the widest load of a thread


@triton.jit
def own_columns(channels, COLUMNS: tl.constexpr):
    """The channels of a program, and a mask of those that exist."""
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    return column, column < channels


@triton.jit
def own_rows(offset, chunk, rows, inside, ROWS: tl.constexpr):
    """The rows of a program's tile, and a mask of its elements that exist."""
    row = tl.program_id(0) * chunk + offset + tl.arange(0, ROWS)
    return row[:, None], (row < rows)[:, None] & inside[None, :]


@triton.jit
def store_sums(partial, first, second, channels, column, inside):
    """Store a program's two sums per channel for `finished`."""
    slot = partial + tl.program_id(0) * channels + column
    tl.store(slot, tl.sum(first, 0), inside)
    tl.store(slot + tl.num_programs(0) * channels, tl.sum(second, 0), inside)


@triton.jit
def finished(partial, channels, column, inside, PROGRAMS: tl.constexpr):
    """Add up both sums over all programs, for some channels."""
    program = tl.arange(0, PROGRAMS)
    place = program[:, None] * channels + column[None, :]
    first = tl.load(partial + place, inside[None, :], 0)
    second = tl.load(partial + PROGRAMS * channels + place, inside[None, :], 0)
    return tl.sum(first, 0), tl.sum(second, 0)


@triton.jit
def move_statistics(
    running_mean, running_var, mean, variance, rows, momentum, column, inside, ACC: tl.constexpr
):
    """Move the running statistics towards those of a batch, with its unbiased variance."""
    old_mean = tl.load(running_mean + column, inside, 0).to(ACC)
    old_var = tl.load(running_var + column, inside, 0).to(ACC)
    unbiased = variance * rows / (rows - 1)
    tl.store(running_mean + column, old_mean + momentum * (mean - old_mean), inside)
    tl.store(running_var + column, old_var + momentum * (unbiased - old_var), inside)


class Tiles:
    """Division of a matrix of feature maps among programs.

    Attributes:
        rows, channels: size of the matrix.
        acc: type of the sums.
        programs: number of programs that share the rows, a power of two; each takes `chunk` of
            them, tile by tile.

    Raises:
        ConfigError: the matrix has more elements than the kernels can index.
    """

    def __init__(self, x: Tensor):
        if x.numel() >= 2**31:
            raise ConfigError(
                f"Maps of {x.numel()} elements are too large for engine=fused; use engine=captured."
            )
        self.channels, self.widest = x.shape[1], LOAD_BYTES // x.element_size()
        self.unit = self.units(self.channels)[-1]
        self.rows = x.numel() // self.channels
        double = x.dtype == torch.float64
        self.acc, self.sums = (tl.float64, torch.float64) if double else (tl.float32, torch.float32)
        self.columns = min(MAX_COLUMNS, triton.next_power_of_2(self.channels))
        self.tile = min(ELEMENTS // self.columns, triton.next_power_of_2(self.rows))
        tiles = triton.cdiv(self.rows, self.tile)
        self.programs = min(MAX_PROGRAMS, triton.next_power_of_2(tiles))
        self.chunk = triton.cdiv(tiles, self.programs) * self.tile

    def units(self, *counts: int) -> tuple[int, ...]:
        """Channel counts divided by a common divisor, followed by the divisor. As a constant of the
        kernel, it tells the compiler the alignment of rows, so that it can load up to 16 bytes at a
        time; from a count such as 24 + 12k alone, it could not."""
        unit = gcd(self.widest, *counts)
        return *(count // unit for count in counts), unit

    @property
    def sizes(self) -> dict[str, Any]:
        """Compile-time constants of every kernel."""
        return {"ROWS": self.tile, "COLUMNS": self.columns, "ACC": self.acc, "UNIT": self.unit}

    @property
    def matrix(self) -> tuple[int, int, int]:
        """Arguments of every kernel that describe the matrix."""
        return self.rows, self.channels // self.unit, self.chunk

    @property
    def grid(self) -> tuple[int, int]:
        return self.programs, triton.cdiv(self.channels, self.columns)

    def partial(self, like: Tensor) -> Tensor:
        """Allocate two sums per program and channel."""
        shape = (2, self.programs, self.channels)
        return torch.empty(shape, dtype=self.sums, device=like.device)

    def vector(self, like: Tensor) -> Tensor:
        """Allocate one number per channel."""
        return torch.empty(self.channels, dtype=self.sums, device=like.device)
