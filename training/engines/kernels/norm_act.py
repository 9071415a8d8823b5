"""Batch normalisation, ReLU and the additions around them as one differentiable operation."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.engines.kernels import norm as kernels
from training.engines.kernels.tiles import THREADS, Tiles

LAST = torch.channels_last


class _NormAct(torch.autograd.Function):
    """See `NormAct.forward`; in training only."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, before: Tensor | None, after: Tensor | None, weight: Tensor,
        bias: Tensor, layer: "NormAct", twice: bool,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        x = x.contiguous(memory_format=LAST)
        tiles = Tiles(x)
        partial = tiles.partial(x)
        mean, scale = tiles.vector(x), tiles.vector(x)
        total = x if before is None else torch.empty_like(x)
        kernels.statistics_kernel[tiles.grid](
            x, before if before is None else before.contiguous(memory_format=LAST), total, partial,
            *tiles.matrix, **tiles.sizes, ADD=before is not None, num_warps=THREADS,
        )  # fmt: skip
        y = torch.empty_like(x)
        after = after if after is None else after.contiguous(memory_format=LAST)
        kernels.apply_kernel[tiles.grid](
            total, after, y, weight, bias, partial, mean, scale, layer.running_mean,
            layer.running_var, *tiles.matrix, layer.eps, layer.momentum, **tiles.sizes,
            PROGRAMS=tiles.programs, TRAINING=True, ADD=after is not None, RELU=layer.relu,
            num_warps=THREADS,
        )  # fmt: skip
        ctx.save_for_backward(total, y if after is not None else None, weight, bias, mean, scale)
        ctx.relu, ctx.twice, ctx.summed = layer.relu, twice, before is not None
        ctx.set_materialize_grads(False)
        outputs = (y, y.view_as(y)) if twice else (y,)
        return (*outputs, total) if before is not None else outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        x, y, weight, bias, mean, scale = ctx.saved_tensors
        through = gradients[-1] if ctx.summed else None
        given = [g for g in gradients[: 2 if ctx.twice else 1] if g is not None]
        dy, dy2 = ([g.contiguous(memory_format=LAST) for g in given] + [None, None])[:2]
        if dy is None:
            dy = torch.zeros_like(x)
        if through is not None:
            through = through.contiguous(memory_format=LAST)
        tiles = Tiles(x)
        partial = tiles.partial(x)
        dx, dz = torch.empty_like(x), None if y is None else torch.empty_like(x)
        dweight, dbias = torch.empty_like(weight), torch.empty_like(bias)
        kind = {"TWICE": dy2 is not None, "ADD": y is not None, "RELU": ctx.relu} | tiles.sizes
        kernels.reduce_kernel[tiles.grid](
            dy, dy2, x, y, dz, weight, bias, mean, scale, partial, *tiles.matrix, **kind,
            num_warps=THREADS,
        )  # fmt: skip
        kernels.correct_kernel[tiles.grid](
            dy, dy2, x, dz, through, dx, weight, bias, dweight, dbias, mean, scale, partial,
            *tiles.matrix, **kind, PROGRAMS=tiles.programs, THROUGH=through is not None,
            num_warps=THREADS,
        )  # fmt: skip
        return dx, dx if ctx.summed else None, dz, dweight, dbias, None, None


class NormAct(nn.BatchNorm2d):
    """Batch normalisation whose kernels include the following ReLU and additions.

    It takes over the weights and statistics of the layer it replaces, under the same names.

    Attributes:
        plain: whether to compute with PyTorch's operations instead, on any device.
    """

    def __init__(self, norm: nn.BatchNorm2d, *, relu: bool):
        super().__init__(norm.num_features, norm.eps, norm.momentum, device="meta")
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.relu, self.plain = relu, False

    def forward(
        self,
        x: Tensor,
        *,
        before: Tensor | None = None,
        after: Tensor | None = None,
        twice: bool = False,
    ) -> Any:
        """y = relu(normalised(x + before) + after), all (N, C, H, W).

        Returns:
            y; with `twice`, y as two tensors that share memory, whose gradients the kernels add;
            with `before`, followed by x + before.
        """
        if self.plain:
            total = x if before is None else x + before
            y = super().forward(total) if after is None else super().forward(total) + after
            y = F.relu(y) if self.relu else y
            outputs = (*((y, y) if twice else (y,)), *((total,) if before is not None else ()))
        elif self.training:
            outputs = _NormAct.apply(x, before, after, self.weight, self.bias, self, twice)
        else:
            total = x if before is None else x + before
            y = self.evaluated(total, after)
            outputs = (y, y) if twice else (y,)
            outputs = (*outputs, total) if before is not None else outputs
        return outputs if len(outputs) > 1 else outputs[0]

    def evaluated(self, x: Tensor, after: Tensor | None) -> Tensor:
        """Normalise with the running statistics; not differentiable."""
        x = x.contiguous(memory_format=LAST)
        y, tiles = torch.empty_like(x), Tiles(x)
        kernels.apply_kernel[tiles.grid](
            x, after if after is None else after.contiguous(memory_format=LAST), y, self.weight,
            self.bias, None, None, None, self.running_mean, self.running_var,
            *tiles.matrix, self.eps, self.momentum, **tiles.sizes, PROGRAMS=tiles.programs,
            TRAINING=False, ADD=after is not None, RELU=self.relu, num_warps=THREADS,
        )  # fmt: skip
        return y
