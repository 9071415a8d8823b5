"""Narrow convolutions on small feature maps, for which cuDNN's kernels are too large."""

from math import gcd
from typing import Any

import torch
import triton
from torch import Tensor, nn

from training.engines.kernels import conv as kernels
from training.engines.kernels.norm_act import LAST
from training.engines.kernels.tiles import LOAD_BYTES

# Where these kernels were measured to be faster than cuDNN's: networks for CIFAR on an H100.
CAPABILITY = (9, 0)
MAX_PIXELS, MAX_NARROWEST, MAX_PRODUCT = 32 * 32, 64, 2**15
MAX_COLUMNS, DEPTHS = 64, (32, 64)
LARGE = 2**15  # number of rows from which a program takes more of them
SUMMED_ROWS, SUMMED_DEPTH = 64, 64  # tile of the weight gradient
PROGRAMS, MAX_PROGRAMS = 400, 256  # of the weight gradient: in total, and that share the rows
STAGES = {1: 2, 9: 4}  # pipeline stages, by number of taps
SUMMED_STAGES = 3
ELEMENTS = 4096  # of a tile of partial sums


class Conv(nn.Conv2d):
    """A convolution that uses our kernels where they are faster: in TF32 or bfloat16 on small
    feature maps. It takes over the weights of the layer it replaces."""

    def __init__(self, layer: nn.Conv2d):
        super().__init__(
            layer.in_channels, layer.out_channels, layer.kernel_size,  # type: ignore[arg-type]
            layer.stride, layer.padding, bias=False, device="meta",  # type: ignore[arg-type]
        )  # fmt: skip
        self.weight = layer.weight

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, out, ceil(H / stride), ceil(W / stride))."""
        tf32 = x.dtype == torch.float32 and torch.backends.cudnn.allow_tf32
        coarse = x.dtype == torch.bfloat16 or tf32
        small = x.shape[2] * x.shape[3] <= MAX_PIXELS
        if has_kernels(x.device) and coarse and small and x.dtype == self.weight.dtype:
            return convolve(x, self.weight, self.stride[0])
        return super().forward(x)


def has_kernels(device: torch.device) -> bool:
    """Whether a device is a GPU of the kind that the kernels were measured on."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) == CAPABILITY


def is_narrow(layer: nn.Module) -> bool:
    """Whether `Conv` can replace a layer and may be faster."""
    if type(layer) is not nn.Conv2d or layer.bias is not None:
        return False
    into, out, size = layer.in_channels, layer.out_channels, layer.kernel_size[0]
    return (
        layer.kernel_size in ((1, 1), (3, 3))
        and layer.padding == (size // 2, size // 2)
        and layer.stride in ((1, 1), (2, 2))
        and layer.dilation == (1, 1)
        and layer.groups == 1
        and min(into, out) <= MAX_NARROWEST
        and into * out <= MAX_PRODUCT
    )


def convolve(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Convolve x (N, C, H, W) with weight (out, C, k, k), k = 1 or 3, padded by k // 2."""
    return _Convolve.apply(x, weight, stride)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        x, weight = x.contiguous(memory_format=LAST), weight.contiguous(memory_format=LAST)
        size, _, height, width = x.shape
        shape = (size, weight.shape[0], -(-height // stride), -(-width // stride))
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return _multiply(x, weight, shape, stride, back=False)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor, None]:
        x, weight = ctx.saved_tensors
        dy = dy.contiguous(memory_format=LAST)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = _multiply(dy, weight, x.shape, ctx.stride, back=True)
        return dx, _weights_gradient(x, dy, weight, ctx.stride), None


def _multiply(
    x: Tensor, weight: Tensor, shape: tuple[int, ...], stride: int, *, back: bool
) -> Tensor:
    y = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=LAST)
    into, out, rows = x.shape[1], y.shape[1], y.numel() // y.shape[1]
    taps = weight.shape[2] * weight.shape[3]
    columns = min(MAX_COLUMNS, _power(out))
    unit_in, unit_out = _unit(x), _unit(y)
    rows_each = 128 if rows >= LARGE else 64
    kernels.conv_kernel[triton.cdiv(rows, rows_each), triton.cdiv(out, columns)](
        x, weight, y, rows, into // unit_in, out // unit_out, **_sizes(y, x), TAPS=taps,
        STRIDE=stride, BACK=back, ROWS=rows_each, COLUMNS=columns, DEPTH=_depth(into),
        UNIT_IN=unit_in, UNIT_OUT=unit_out, num_warps=4, num_stages=STAGES[taps],
    )  # fmt: skip
    return y


def _weights_gradient(x: Tensor, dy: Tensor, weight: Tensor, stride: int) -> Tensor:
    into, out, rows = x.shape[1], dy.shape[1], dy.numel() // dy.shape[1]
    taps = weight.shape[2] * weight.shape[3]
    columns = min(MAX_COLUMNS, _power(out))
    tiles = triton.cdiv(taps * into, SUMMED_DEPTH), triton.cdiv(out, columns)
    steps = triton.cdiv(rows, SUMMED_ROWS)
    most = max(1, min(MAX_PROGRAMS, steps, PROGRAMS // (tiles[0] * tiles[1])))
    programs = 2 ** (most.bit_length() - 1)
    unit_in, unit_out = _unit(x), _unit(dy)
    partial = torch.empty((programs, weight.numel()), dtype=torch.float32, device=x.device)
    kernels.weights_kernel[programs, *tiles](
        x, dy, partial, rows, into // unit_in, out // unit_out,
        triton.cdiv(steps, programs) * SUMMED_ROWS, **_sizes(dy, x), TAPS=taps, STRIDE=stride,
        ROWS=SUMMED_ROWS, COLUMNS=columns, DEPTH=SUMMED_DEPTH, UNIT_IN=unit_in, UNIT_OUT=unit_out,
        num_warps=4, num_stages=SUMMED_STAGES,
    )  # fmt: skip
    gradient, count = torch.empty_like(weight), weight.numel()
    elements = min(128, ELEMENTS // programs)
    kernels.total_kernel[triton.cdiv(count, elements),](
        partial, gradient, count, PROGRAMS=programs, ELEMENTS=elements
    )
    return gradient


def _sizes(maps: Tensor, read: Tensor) -> dict[str, Any]:
    """Sizes of the maps whose pixels are the rows and of the maps that are read."""
    return {
        "EMULATED": triton.knobs.runtime.interpret,
        "HEIGHT": maps.shape[2], "WIDTH": maps.shape[3],
        "READ_HEIGHT": read.shape[2], "READ_WIDTH": read.shape[3],
    }  # fmt: skip


def _power(channels: int) -> int:
    """Smallest power of two that covers the channels and is a valid tensor core size."""
    return max(16, triton.next_power_of_2(channels))


def _depth(into: int) -> int:
    """Input channels per step: the depth that wastes least; if equal, the larger one if it fits."""
    waste = {depth: -into % depth for depth in DEPTHS}
    best = min(DEPTHS, key=lambda depth: (waste[depth], -depth if into >= DEPTHS[-1] else depth))
    return min(best, _power(into))


def _unit(maps: Tensor) -> int:
    """See `tiles.Tiles.units`."""
    return gcd(LOAD_BYTES // maps.element_size(), maps.shape[1])
