"""Every kernel, as a training step launches it, compiled to machine code; needs no GPU."""

import json
import os
import subprocess
import sys

import pytest

from records.files import ROOT

pytest.importorskip("triton.backends.nvidia")
MAPS = ("statistics_kernel", "apply_kernel", "reduce_kernel", "correct_kernel", "write_kernel",
        "read_kernel", "read_back_kernel", "write_back_kernel", "conv_kernel",
        "weights_kernel")  # fmt: skip
# Maps of 24 + 12k channels begin at multiples of four, which are eight bytes in bfloat16.
WIDTHS = {"float32": 16, "float64": 16, "bfloat16": 8}
# Turing, which has no bfloat16 arithmetic of its own, Ampere, Hopper and Blackwell.
TARGETS = [
    pytest.param("75", "float32", marks=pytest.mark.slow),
    pytest.param("80", "float32", marks=pytest.mark.slow),
    ("90", "float32"),
    pytest.param("90", "float64", marks=pytest.mark.slow),  # what the kernels' own tests use
    pytest.param("80", "bfloat16", marks=pytest.mark.slow),
    pytest.param("100", "float32", marks=pytest.mark.slow),
    pytest.param("90", "bfloat16", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("capability", "dtype"), TARGETS)
def test_kernels_compile(capability: str, dtype: str) -> None:
    """In a process of its own, because this one has them in the interpreter."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *sys.path])
    script = str(ROOT / "tests" / "compile_kernels.py")
    command = [sys.executable, script, capability, dtype]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    programs = [json.loads(line) for line in done.stdout.splitlines()]
    convolutions = dtype != "float64" and capability == "90"
    assert len({program["name"] for program in programs}) == (15 if convolutions else 12)
    for program in programs:
        if dtype != "float64":  # in which only tests compute
            assert program["stack"] == 0 and program["registers"] < 255, program
        if program["name"] in MAPS:  # what a thread reads of maps, it reads 16 bytes at a time
            widths = {int(width): count for width, count in program["loads"].items()}
            wide = sum(count for width, count in widths.items() if width >= WIDTHS[dtype])
            assert wide >= sum(widths.values()) / 2, program
