"""Compile each program that training steps launch: compile_kernels.py 90 bfloat16.

Launching is replaced by compiling for a GPU of the given compute capability, with the types, the
divisors and the constants of the launch of a real batch. Prints a line of JSON for each program:
its name, its registers, bytes of stack, and bytes loaded by the width of the load; fails where one
does not compile.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
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
from training.engines.kernels.conv_layer import convolve
from training.engines.kernels.loss import cross_entropy

TYPES = {
    torch.float32: "*fp32", torch.float64: "*fp64", torch.bfloat16: "*bf16",
    torch.int64: "*i64", torch.uint8: "*u8",
}  # fmt: skip
BATCH = 64
CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
LOAD = re.compile(r"ld\.global\S*?(?:\.v(\d))?\.[bfsu](\d+)")
COPY = re.compile(r"cp\.async\.c[ag]\S* \[[^]]*\], \[[^]]*\], (\w+)")  # to shared memory
done: set[tuple] = set()


def compile_launch(self: JITFunction, *values: Any, **given: Any) -> None:
    """Stands in for a launch; an equal one is compiled once."""
    options = {name: given.pop(name) for name in ("num_warps", "num_stages") if name in given}
    given = {k: v for k, v in given.items() if k in self.arg_names}
    arguments = dict(zip(self.arg_names, values, strict=False)) | given
    signature, constants, aligned = {}, {}, {}
    for place, (name, value) in enumerate(arguments.items()):
        one = isinstance(value, int) and value == 1  # which the launcher makes a constant
        if name.isupper() or value is None or one:
            signature[name], constants[name] = "constexpr", value
        elif isinstance(value, float):
            signature[name] = "fp32"
        else:
            is_tensor = isinstance(value, torch.Tensor)
            signature[name] = TYPES[value.dtype] if is_tensor else "i32"
            if is_tensor or value % 16 == 0:  # as the launcher specialises
                aligned[(place,)] = [["tt.divisibility", 16]]
    key = (self.fn.__name__, tuple(signature.items()), str(constants), str(aligned))
    if key in done:
        return
    done.add(key)
    source = ASTSource(self, signature, constants, aligned)
    target = GPUTarget("cuda", int(sys.argv[1]), 32)
    made = triton.compile(source, target=target, options=options)
    print(json.dumps({"name": self.fn.__name__, **usage(made.asm["cubin"]),
                      "loads": loads(made.asm["ptx"])}))  # fmt: skip


def usage(cubin: bytes) -> dict[str, int]:
    """Registers of a thread, and bytes of its stack."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [str(CUOBJDUMP), "-res-usage", file.name]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", text)
    assert found, text
    return {"registers": int(found[1]), "stack": int(found[2])}


def loads(ptx: str) -> dict[str, int]:
    """Bytes that the loads of a program bring to a thread, by the bytes of each load."""
    total: dict[str, int] = {}
    for count, bits in LOAD.findall(ptx):
        width = int(count or 1) * int(bits) // 8
        total[str(width)] = total.get(str(width), 0) + width
    for text in COPY.findall(ptx):
        width = int(text, 0)
        total[str(width)] = total.get(str(width), 0) + width
    return total


def step(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """A training step and an evaluation, with nothing computed but by PyTorch."""
    model.train()
    if dtype == torch.float64:
        model.double()
    images = torch.zeros(BATCH, 32, 32, 3, dtype=torch.uint8)
    labels, plan = torch.zeros(BATCH, dtype=torch.int64), torch.zeros(BATCH, 4, dtype=torch.int64)
    mean, position = torch.zeros(32, 32, 3), torch.zeros((), dtype=torch.int64)
    x, labels = gather(
        images, labels, plan, position, BATCH, pad=4, mean=mean, scale=torch.ones(()), dtype=dtype
    )
    sums = torch.zeros(3, dtype=torch.float64)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        logits = model(x)
    logits.backward(cross_entropy(logits.detach(), labels, sums))
    model.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        model(x)


def convolutions(dtype: torch.dtype) -> None:
    """Convolutions as the networks have them, forward and backward, but for images, whose three
    channels fit no wide load; a layer does them itself only on a GPU."""
    kinds = (
        (16, 16, 32, 3, 1), (16, 32, 32, 3, 2), (64, 64, 8, 3, 1), (64, 16, 32, 1, 1),
        (16, 64, 32, 1, 1), (60, 12, 16, 3, 1), (60, 48, 16, 1, 1),
    )  # fmt: skip
    for into, out, pixels, size, stride in kinds:
        x = torch.zeros(BATCH, into, pixels, pixels, dtype=dtype, requires_grad=True)
        weight = torch.zeros(out, into, size, size, dtype=dtype, requires_grad=True)
        convolve(x, weight, stride).sum().backward()


def main() -> None:
    torch.set_num_threads(1)
    with patch.object(JITFunction, "run", compile_launch):
        dtype = getattr(torch, sys.argv[2])
        for network in (
            ResNet(8),
            ResNet(8, order="full_preact"),
            DenseNet(16, 12, bottleneck=True, compression=0.5),
            DenseNet(13, 12),
        ):
            step(fuse(network), dtype)
            known = len(done)
            step(network, dtype)
            assert len(done) == known, "the second step compiles something"
        if dtype != torch.float64 and sys.argv[1] == "90":
            convolutions(dtype)


if __name__ == "__main__":
    main()
