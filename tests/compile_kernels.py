"""Compile each kernel that training steps of three networks launch: compile_kernels.py 90 bfloat16.

Launching is replaced by compiling for a GPU of the given compute capability, with the types, the
alignments and the constants of the launch. Prints the names of the kernels; fails where one does
not compile.
"""

import sys
from typing import Any
from unittest.mock import patch

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from models.densenet import DenseNet
from models.resnet import ResNet
from training.engines.fused_residual import fuse
from training.engines.kernels.batch import gather
from training.engines.kernels.loss import cross_entropy

TYPES = {
    torch.float32: "*fp32", torch.float64: "*fp64", torch.bfloat16: "*bf16",
    torch.int64: "*i64", torch.uint8: "*u8",
}  # fmt: skip
done: set[tuple] = set()


def compile_launch(self: JITFunction, *values: Any, **given: Any) -> None:
    """Stands in for a launch; an equal one is compiled once."""
    options = {"num_warps": given.pop("num_warps", 4)}
    given = {k: v for k, v in given.items() if k in self.arg_names}
    arguments = dict(zip(self.arg_names, values, strict=False)) | given
    signature, constants, aligned = {}, {}, {}
    for place, (name, value) in enumerate(arguments.items()):
        if name.isupper() or value is None:
            signature[name], constants[name] = "constexpr", value
        elif isinstance(value, torch.Tensor):
            signature[name] = TYPES[value.dtype]
            aligned[(place,)] = [["tt.divisibility", 16]]
        else:
            signature[name] = "fp32" if isinstance(value, float) else "i32"
    key = (self.fn.__name__, tuple(signature.items()), str(constants))
    if key in done:
        return
    done.add(key)
    source = ASTSource(self, signature, constants, aligned)
    target = GPUTarget("cuda", int(sys.argv[1]), 32)
    made = triton.compile(source, target=target, options=options)
    assert "cubin" in made.asm
    print(self.fn.__name__)


def step(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Forward and backward, with nothing computed but by PyTorch."""
    if dtype == torch.float64:
        model.double()
    images = torch.zeros(4, 32, 32, 3, dtype=torch.uint8)
    labels, plan = torch.zeros(4, dtype=torch.int64), torch.zeros(4, 4, dtype=torch.int64)
    mean, position = torch.zeros(32, 32, 3), torch.zeros((), dtype=torch.int64)
    x, labels = gather(
        images, labels, plan, position, 4, pad=4, mean=mean, scale=torch.ones(()), dtype=dtype
    )
    sums = torch.zeros(3, dtype=torch.float64)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        logits = model(x)
    logits.backward(cross_entropy(logits.detach(), labels, sums))
    model.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        model(x)


def main() -> None:
    torch.set_num_threads(1)
    with patch.object(JITFunction, "run", compile_launch):
        dtype = getattr(torch, sys.argv[2])
        step(fuse(ResNet(8)), dtype)
        step(fuse(ResNet(8, order="full_preact")), dtype)
        step(fuse(DenseNet(10, 12, bottleneck=True, compression=0.5)), dtype)


if __name__ == "__main__":
    main()
