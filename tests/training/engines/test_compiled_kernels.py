"""Every kernel, as a training step launches it, compiled to machine code; needs no GPU."""

import os
import subprocess
import sys

import pytest

from records.files import ROOT

pytest.importorskip("triton.backends.nvidia")
# Turing, which has no bfloat16 arithmetic of its own, Ampere and Hopper.
TARGETS = [
    pytest.param("75", "float32", marks=pytest.mark.slow),
    pytest.param("80", "float32", marks=pytest.mark.slow),
    pytest.param("90", "float32", marks=pytest.mark.slow),
    pytest.param("90", "float64", marks=pytest.mark.slow),  # what the kernels' own tests use
    pytest.param("80", "bfloat16", marks=pytest.mark.slow),
    ("90", "bfloat16"),
]


@pytest.mark.parametrize(("capability", "dtype"), TARGETS)
def test_kernels_compile(capability: str, dtype: str) -> None:
    """In a process of its own, because this one has them in the interpreter."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = str(ROOT)
    script = str(ROOT / "tests" / "compile_kernels.py")
    command = [sys.executable, script, capability, dtype]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    compiled = done.stdout.split()
    assert len(set(compiled)) == 12, compiled
