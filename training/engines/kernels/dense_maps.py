"""The feature maps of a dense block in one buffer: layers write new maps, read normalised ones."""

from typing import Any

import torch
from torch import Tensor

from training.engines.kernels import dense as kernels
from training.engines.kernels.norm_act import LAST, NormAct
from training.engines.kernels.tiles import THREADS, Tiles


class DenseMaps:
    """The feature maps of a dense block in one forward pass, and their gradient.

    `write` and `read` are differentiable. Gradients are not passed along tensors but through this
    object; a token, an empty tensor that every operation takes and every `write` renews, makes
    autograd run the backward operations in the only correct order: each `write` after all `read`s
    that followed it.

    The last operation must be `read_last`: its backward initialises the gradient of all maps. It
    also drops the token, whose reference cycle would keep autograd's nodes and the maps alive.

    Args:
        x: the block's input (N, C, H, W), its first maps.
        channels: total number of channels at the end.
        eps: eps of all normalisations.
    """

    def __init__(self, x: Tensor, channels: int, eps: float):
        size, _, height, width = x.shape
        self.maps = torch.empty(
            (size, channels, height, width), dtype=x.dtype, device=x.device, memory_format=LAST
        )
        self.eps, self.stride, self.filled = eps, channels, 0
        self.gradient: Tensor | None = None
        tiles = Tiles(self.maps)
        self.mean, self.variance = tiles.vector(x), tiles.vector(x)
        self.sums, self.products = tiles.vector(x), tiles.vector(x)
        self.token = torch.empty(0, device=x.device)
        self.write(x)

    def write(self, new: Tensor) -> None:
        """Add new maps (N, k, H, W)."""
        self.token = _Write.apply(self.token, new, self)

    def read(self, layer: NormAct) -> Tensor:
        """Return all maps so far, normalised by a layer and activated: (N, C, H, W)."""
        return _Read.apply(self.token, layer.weight, layer.bias, layer, self)

    def read_last(self, layer: NormAct) -> Tensor:
        """Do the last `read`; nothing can be written or read after it."""
        y = self.read(layer)
        del self.token
        return y


class PlainMaps(DenseMaps):
    """The same with PyTorch's operations, for layers that are `plain`."""

    def __init__(self, x: Tensor, channels: int, eps: float):
        self.maps = x

    def write(self, new: Tensor) -> None:
        self.maps = torch.cat([self.maps, new], 1)

    def read(self, layer: NormAct) -> Tensor:
        return layer(self.maps)

    def read_last(self, layer: NormAct) -> Tensor:
        return self.read(layer)


class _Write(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, token: Tensor, new: Tensor, maps: DenseMaps) -> Tensor:
        new = new.contiguous(memory_format=LAST)
        tiles = Tiles(new)
        partial = tiles.partial(new)
        ctx.maps, ctx.first, ctx.shape = maps, maps.filled, new.shape
        *counts, unit = tiles.units(tiles.channels, maps.stride, maps.filled)
        kernels.write_kernel[tiles.grid](
            new, maps.maps, partial, tiles.rows, *counts, tiles.chunk,
            **tiles.sizes | {"UNIT": unit}, num_warps=THREADS,
        )  # fmt: skip
        kernels.finish_kernel[tiles.grid[1:]](
            maps.maps, partial, maps.mean, maps.variance, tiles.rows, tiles.channels, maps.filled,
            COLUMNS=tiles.columns, PROGRAMS=tiles.programs, ACC=tiles.acc,
        )  # fmt: skip
        maps.filled += tiles.channels
        return token.new_empty(0)

    @staticmethod
    def backward(ctx: Any, token: Tensor) -> tuple[Tensor | None, ...]:
        maps = ctx.maps
        dnew = torch.empty(
            ctx.shape, dtype=maps.maps.dtype, device=maps.maps.device, memory_format=LAST
        )
        tiles = Tiles(dnew)
        *counts, unit = tiles.units(tiles.channels, maps.stride, ctx.first)
        kernels.write_back_kernel[tiles.grid](
            maps.gradient, maps.maps, dnew, maps.mean, maps.variance, maps.sums, maps.products,
            tiles.rows, *counts, tiles.chunk, maps.eps, **tiles.sizes | {"UNIT": unit},
            num_warps=THREADS,
        )  # fmt: skip
        return token, dnew, None


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, token: Tensor, weight: Tensor, bias: Tensor, layer: NormAct, maps: DenseMaps
    ) -> Tensor:
        size, _, height, width = maps.maps.shape
        y = torch.empty(
            (size, maps.filled, height, width), dtype=maps.maps.dtype, device=weight.device,
            memory_format=LAST,
        )  # fmt: skip
        tiles = Tiles(y)
        *counts, unit = tiles.units(tiles.channels, maps.stride)
        kernels.read_kernel[tiles.grid](
            maps.maps, y, weight, bias, maps.mean, maps.variance, layer.running_mean,
            layer.running_var, tiles.rows, *counts, tiles.chunk, maps.eps, layer.momentum,
            **tiles.sizes | {"UNIT": unit}, num_warps=THREADS,
        )  # fmt: skip
        ctx.maps = maps
        ctx.save_for_backward(weight, bias)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        maps, (weight, bias) = ctx.maps, ctx.saved_tensors
        dy = dy.contiguous(memory_format=LAST)
        tiles = Tiles(dy)
        partial = tiles.partial(dy)
        last = maps.gradient is None
        if last:
            maps.gradient = torch.empty_like(maps.maps)
        dweight, dbias = torch.empty_like(weight), torch.empty_like(bias)
        *counts, unit = tiles.units(tiles.channels, maps.stride)
        kernels.read_back_kernel[tiles.grid](
            dy, maps.maps, maps.gradient, weight, bias, maps.mean, maps.variance, partial,
            tiles.rows, *counts, tiles.chunk, maps.eps, **tiles.sizes | {"UNIT": unit}, LAST=last,
            num_warps=THREADS,
        )  # fmt: skip
        kernels.finish_back_kernel[tiles.grid[1:]](
            partial, weight, dweight, dbias, maps.sums, maps.products, tiles.channels,
            COLUMNS=tiles.columns, PROGRAMS=tiles.programs, LAST=last, ACC=tiles.acc,
        )  # fmt: skip
        return maps.maps.new_empty(0, dtype=weight.dtype), dweight, dbias, None, None
