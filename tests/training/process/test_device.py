"""Which device a run gets, by torch's own checks of the arguments; no GPU is needed."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from records.files import ROOT
from training.process.device import find_device, set_backend
from training.settings.settings import Settings
from training.settings.types import ConfigError

FOUND_NO_DRIVER = """Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU
and installed a driver."""
TOO_OLD = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU "
    "driver by downloading and installing a new version."
)


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two Hopper GPUs, as far as torch is asked about them; the indices that are made current."""
    indices: list[int] = []
    monkeypatch.setattr(torch._C, "_cuda_setDevice", indices.append, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_90a", "compute_90"])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    return indices


@pytest.mark.parametrize(
    ("name", "index"), [("auto", 0), ("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)]
)
def test_the_gpu_that_is_named_becomes_the_current_one(
    name: str, index: int, chosen: list[int]
) -> None:
    """`torch.cuda.set_device` takes no device without an index."""
    assert find_device(name) == torch.device("cuda", index) and chosen == [index]


@pytest.mark.parametrize("name", ["cuda:2", "cuda:17"])
def test_a_gpu_that_is_not_there_is_refused(name: str, chosen: list[int]) -> None:
    with pytest.raises(ConfigError, match=f"device={name}: this machine shows 2 CUDA devices"):
        find_device(name)
    assert not chosen


@pytest.mark.parametrize("reason", [FOUND_NO_DRIVER, TOO_OLD])
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_gpu_that_torch_cannot_use_is_refused_with_its_reason(
    name: str, reason: str, chosen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError(reason)

    monkeypatch.setattr(torch.cuda, "init", fail)
    with pytest.raises(ConfigError) as refused:
        find_device(name)
    said = str(refused.value)
    assert reason[:30] in said and "CUDA 13.0" in said and "driver" in said and not chosen
    assert len(said.splitlines()) <= 3


def test_a_torch_without_cuda_says_so(chosen: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(ConfigError, match="built without CUDA"):
        find_device("cuda")


@pytest.mark.parametrize(("capability", "old"), [((6, 1), True), ((7, 0), True), ((7, 5), False)])
def test_a_gpu_older_than_the_wheel_is_refused(
    capability: tuple[int, int], old: bool, chosen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    if not old:
        assert find_device("cuda").index == 0
        return
    with pytest.raises(ConfigError, match=r"a GPU \(sm_\d\d\) is older than .* \(sm_75 on\)"):
        find_device("cuda")


@pytest.fixture
def as_before() -> Iterator[None]:
    """Leaves the settings of this process to the next test as they were."""
    flags = [(torch.backends.cuda.matmul, "allow_tf32"), (torch.backends.cudnn, "allow_tf32"),
             (torch.backends.cudnn, "benchmark")]  # fmt: skip
    before = [(owner, name, getattr(owner, name)) for owner, name in flags]
    exact, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    yield
    for owner, name, value in before:
        setattr(owner, name, value)
    torch.use_deterministic_algorithms(exact)
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_products_are_rounded_as_asked_only(precision: str, tiny: Callable[..., Settings]) -> None:
    """By default, torch rounds those of convolutions to TF32."""
    for owner in (torch.backends.cuda.matmul, torch.backends.cudnn):
        owner.allow_tf32 = precision != "tf32"
    set_backend(tiny(f"precision={precision}"), torch.device("cpu"))
    for owner in (torch.backends.cuda.matmul, torch.backends.cudnn):
        assert owner.allow_tf32 == (precision == "tf32")


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("exact", [True, False])
def test_kernels_are_chosen_by_speed_unless_the_same_bits_are_asked_for(
    exact: bool, tiny: Callable[..., Settings]
) -> None:
    set_backend(tiny(f"deterministic={str(exact).lower()}", "threads=2"), torch.device("cpu"))
    assert torch.are_deterministic_algorithms_enabled() == exact
    assert torch.backends.cudnn.benchmark == (not exact)
    assert torch.get_num_threads() == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["PLAN=1"], marks=pytest.mark.slow),
        ["PRESET=tenth", "ROWS=resnet20", "YES=1"],
    ],
)
def test_a_plan_for_a_gpu_that_torch_cannot_use_is_refused(
    arguments: list[str], tmp_path: Path
) -> None:
    """A driver shows one, so the plan would be of seconds, and the run on the CPU takes hours."""
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho '0, GPU-1, NVIDIA H100, 81559'\n")
    driver.chmod(0o755)
    known = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    known |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "OUTPUT_DIR": str(tmp_path / "outputs")}
    options = [f"--{key.lower()}" if value == "1" else f"--{key.lower()}={value}"
               for key, value in (argument.split("=") for argument in arguments)]  # fmt: skip
    command = [sys.executable, "-m", "experiments.reproduce", *options]
    ended = subprocess.run(
        command, env=known, cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert ended.returncode == 2 and "NVIDIA H100: " in ended.stderr, ended.stdout
    assert "make doctor" in ended.stderr and len(ended.stderr.splitlines()) <= 3
    assert not (tmp_path / "outputs" / "runs").exists()


def test_gpus_are_numbered_as_the_driver_numbers_them(
    chosen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the plan's cuda:1 is another card than the run's."""
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    find_device("cuda:1")
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
