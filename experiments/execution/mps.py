"""NVIDIA's Multi-Process Service (MPS): the kernels of several processes side by side on a GPU."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from experiments.plan.machine import torch_fault
from records.names import outputs

CONTROL = "nvidia-cuda-mps-control"
PIPES = "CUDA_MPS_PIPE_DIRECTORY"
SECONDS = 60  # that the daemon has to answer
LONGEST = 90  # characters: its pipes are sockets, whose paths must be short


@contextmanager
def side_by_side(*, wanted: bool) -> Iterator[Mapping[str, str]]:
    """Run an MPS daemon of this user while entered, if one can be started, and print whether it is
    on. One that the environment names, as on a cluster, is used as it is.

    Yields:
        The variables by which processes use the daemon, empty if none was started.
    """
    if wanted and PIPES in os.environ:
        print(f"Using the NVIDIA MPS daemon of {PIPES}={os.environ[PIPES]}.", flush=True)
    if not wanted or PIPES in os.environ:
        yield {}
        return
    folder = (outputs() / "mps" / str(os.getpid())).absolute()
    environment = {
        PIPES: str(folder / "pipe"),
        "CUDA_MPS_LOG_DIRECTORY": str(folder / "log"),
    }
    try:
        reason = _start(environment)
        if reason:
            print(f"NVIDIA MPS is off ({reason}): runs on one GPU take turns.", flush=True)
            yield {}
        else:
            print("NVIDIA MPS is on: runs on one GPU work side by side.", flush=True)
            yield environment
    finally:
        if shutil.which(CONTROL):
            _control(environment, line="quit\n")
        shutil.rmtree(folder, ignore_errors=True)


def _start(environment: Mapping[str, str]) -> str:
    """Start the daemon; return why none can be used, or an empty string."""
    if shutil.which(CONTROL) is None:
        return f"{CONTROL} not found"
    if len(environment[PIPES]) > LONGEST:
        return "the path of OUTPUT_DIR is too long for its pipes"
    for path in environment.values():
        Path(path).mkdir(parents=True, exist_ok=True)
    if reason := _control(environment, "-d"):
        return reason
    # In some containers it starts, and then serves nobody.
    return (torch_fault(environment) or "").split(". ")[0]


def _control(environment: Mapping[str, str], *options: str, line: str = "") -> str:
    """Call the daemon's control program; return what went wrong, or an empty string."""
    # The daemon serves all GPUs; each run selects its own.
    variables = {**os.environ, **environment, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    variables.pop("CUDA_VISIBLE_DEVICES", None)
    try:
        ended = subprocess.run(
            [CONTROL, *options], env=variables, input=line,
            check=False, capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return str(error).splitlines()[0]
    said = (ended.stderr or ended.stdout).strip().splitlines() or [f"exit code {ended.returncode}"]
    return said[0] if ended.returncode else ""
