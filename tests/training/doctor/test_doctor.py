"""The doctor on healthy and on broken machines, as far as they can be had without a GPU."""

import shutil
import subprocess
import sys
import sysconfig
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from records.files import ROOT
from training.doctor import gpu, host, speed
from training.doctor.__main__ import look, main
from training.doctor.finding import Finding, findings
from training.trainer import Trainer

SMI = """\
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 470.82.01    Driver Version: 470.82.01    CUDA Version: 11.4     |
"""
TOO_OLD = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU "
    "driver by downloading and installing a new version."
)
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")


def found(check: Callable, what: str) -> Finding:
    """The line of a check that is about something."""
    return next(finding for finding in findings(check) if finding.what == what)


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Put an `nvidia-smi` on the path that prints something and ends with a code."""

    def install(text: str, code: int) -> None:
        (tmp_path / "said").write_text(text)
        command = tmp_path / "nvidia-smi"
        command.write_text(f"#!/bin/sh\ncat '{tmp_path}/said'\nexit {code}\n")
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return install


@without_gpu
def test_a_driver_that_is_too_old(
    driver: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError(TOO_OLD)

    driver(SMI, 0)
    monkeypatch.setattr(torch.cuda, "init", fail)
    line = found(gpu.driver, "driver")
    assert line.mark == "FAIL" and "Driver 470.82.01, CUDA 11.4" in line.result
    assert "too old (found version 11040)" in line.result
    assert "update the driver, or install the wheel" in line.remedy


def test_a_driver_that_fails(driver: Callable[[str, int], None]) -> None:
    driver("Failed to initialize NVML: Driver/library version mismatch\n", 18)
    line = found(gpu.driver, "driver")
    assert line.mark == "FAIL" and "version mismatch" in line.result and "Restart" in line.remedy


@without_gpu
def test_no_gpu_is_no_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found(gpu.driver, "driver").mark == "note"
    for check in (gpu.devices, gpu.kernels, gpu.mps):
        assert not list(findings(check))


@pytest.mark.parametrize("with_gpu", [False, True])
def test_a_missing_compiler(
    with_gpu: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: with_gpu)
    line = found(gpu.compiler, "compiler")
    assert line.mark == ("FAIL" if with_gpu else "note")
    assert "no C compiler and no" in line.result and "Python.h" in line.result
    assert "gcc python3-dev" in line.remedy


def test_a_gpu_without_memory_and_one_without_code(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, stand_in in {
        "is_available": lambda: True, "device_count": lambda: 2,
        "get_device_name": lambda device: "a GPU",
        "get_device_capability": lambda device: ((9, 0), (6, 1))[device.index],
        "get_arch_list": lambda: ["sm_75", "sm_90"],
        "mem_get_info": lambda device: (1e9, 80e9),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, stand_in)
    full, old = findings(gpu.devices)
    assert (full.mark, old.mark) == ("FAIL", "FAIL")
    assert "1.0 of 80.0 GB free" in full.result and "nvidia-smi" in full.remedy
    assert "sm_61" in old.result and "older wheel" in old.remedy


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path / "outputs"))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(100e9, 99.9e9, 0.1e9))
    line = found(host.folders, "OUTPUT_DIR")
    assert line.mark == "FAIL" and "0.1 GB free" in line.result and "Free some space" in line.remedy


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path / "file" / "results"))
    line = found(host.folders, "RESULTS_DIR")
    assert line.mark == "FAIL" and "another folder" in line.remedy


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"\0" * 4096])
def test_a_damaged_data_file(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    (tmp_path / "cifar10.npz").write_bytes(content)
    line = found(host.data, "cifar10")
    assert line.mark == "FAIL" and "make data DATASET=cifar10" in line.remedy
    assert found(host.data, "cifar100").mark == "note"


def test_a_check_that_breaks_is_a_finding() -> None:
    def broken() -> None:
        raise OSError("no such thing\nand more")

    (line,) = findings(broken)  # type: ignore[arg-type]
    assert line.mark == "FAIL" and "OSError: no such thing" in str(line)


@pytest.mark.parametrize("fault", [None, "PTX was compiled with an unsupported toolchain"])
def test_kernels_that_fail_are_a_problem(
    fault: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(device: torch.device) -> None:
        if fault is not None:
            raise RuntimeError(fault)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("training.engines.check.once", look)
    line = found(gpu.kernels, "kernels")
    assert line.mark == ("FAIL" if fault else "ok") and (fault or "engine=fused") in line.result
    assert line.remedy == ("Runs go on with engine=captured." if fault else "")


def test_mps_is_found_or_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found(gpu.mps, "MPS").mark == "note"
    command = tmp_path / gpu.MPS
    command.touch(0o755)
    line = found(gpu.mps, "MPS")
    assert (line.mark, line.result, line.remedy) == ("ok", str(command), "")


@pytest.mark.parametrize(
    ("state", "mark", "said"),
    [
        ({"commit": "c" * 40, "clean": True}, "ok", "nothing changed"),
        ({"commit": "c" * 40, "clean": False}, "note", "with uncommitted changes"),
        ({"commit": None, "clean": None}, "note", "no git here"),
    ],
)
def test_code_that_is_not_committed_is_noted(
    state: dict[str, object], mark: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "commit", lambda: state)
    line = found(host.code, "code")
    assert line.mark == mark and said in line.result and bool(line.remedy) == (mark == "note")


def test_an_empty_folder_is_no_imagenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    train = tmp_path / "imagenet" / "train"
    train.mkdir(parents=True)
    assert found(host.data, "imagenet").mark == "note"
    (train / "n01440764").mkdir()
    assert found(host.data, "imagenet").mark == "ok"


def test_a_step_is_timed_without_those_that_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first steps take a minute each, as they compile; the others half a second."""
    now, took = [0.0], [60.0] * speed.WARM_UP + [0.5] * (speed.STEPS - speed.WARM_UP)

    def step(trainer: Trainer) -> None:
        trainer.metrics.add(torch.tensor(2.5), torch.eye(10), torch.arange(10))
        now[0] += took.pop(0)

    monkeypatch.setattr(Trainer, "train_iteration", step)
    monkeypatch.setattr(speed.time, "monotonic", lambda: now[0])
    assert speed.steps(device="cpu") == (2.5, pytest.approx(0.5)) and not took


@pytest.mark.parametrize("wrong", [1.9, 3.1])
def test_an_engine_that_computes_something_else(
    wrong: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = {"eager": 2.5, "captured": 2.5, "fused": wrong}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        speed, "steps", lambda engine, *_, device: (losses[engine.partition("=")[2]], 0.001)
    )
    marks = {line.what: line for line in findings(speed.engines)}
    assert [line.mark for line in marks.values()] == ["ok", "ok", "FAIL"]
    assert "Do not use engine=fused" in marks["fused"].remedy
    assert "128,000 images/s" in marks["eager"].result  # of 128 each, a millisecond a step


def test_problems_give_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(speed, "CHECKS", ())
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert main() == 0 and "ready to train" in capsys.readouterr().out
    (tmp_path / "cifar100.npz").write_bytes(b"no archive")
    assert main() == 1
    out = capsys.readouterr().out
    assert "\n1 problem.\n" in out and "Delete" in out


def test_any_number_of_problems_gives_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    """As a process has one byte for its code, in which 256 problems would be none."""

    def full() -> Iterator[Finding]:
        yield Finding("FAIL", "disk", "full", "Free it.")

    assert look([full] * 256) == 1
    assert "\n256 problems.\n" in capsys.readouterr().out


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "training.doctor"], cwd=ROOT, check=False, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode in (0, 1) and "Traceback" not in ended.stdout + ended.stderr
    for what in ("Python", "packages", "cores", "OUTPUT_DIR", "code", "cifar10", "W&B", "driver",
                 "compiler", "eager"):  # fmt: skip
        assert any(f"  {what} " in line for line in ended.stdout.splitlines()), what
