"""NVIDIA MPS as a plan starts and ends it, by stand-ins for NVIDIA's commands."""

import os
from pathlib import Path

import pytest

from experiments.execution.command import devices
from experiments.execution.mps import CONTROL, side_by_side
from experiments.plan import machine
from experiments.plan.jobs import Job

JOBS = [Job("he2015_residual/table6/resnet20", "cifar10_aug", seed, "paper") for seed in range(3)]
HUGE = Job("he2015_residual/table6/resnet1202", "cifar10_aug", 0, "paper")


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands, first on PATH; outputs go below `tmp_path`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path / "o"))
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
    monkeypatch.setattr("experiments.execution.mps.LONGEST", 1000)  # the path of a test is long
    monkeypatch.setattr("experiments.execution.mps.torch_fault", lambda environment: None)
    return folder


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_the_daemon_serves_the_runs_and_is_ended(
    commands: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All GPUs, whichever this process may use: each run selects its own."""
    log = tmp_path / "log"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    script(
        commands / CONTROL,
        f'echo "$1 $CUDA_MPS_PIPE_DIRECTORY ${{CUDA_VISIBLE_DEVICES-all}}" >> {log}; cat >> {log}',
    )
    with side_by_side(wanted=True) as environment:
        pipe = environment["CUDA_MPS_PIPE_DIRECTORY"]
        assert Path(pipe).is_dir() and str(tmp_path / "o") in pipe
        assert log.read_text() == f"-d {pipe} all\n"
    assert log.read_text().endswith("quit\n")
    assert not Path(pipe).exists()
    assert "MPS is on" in capsys.readouterr().out


def test_a_daemon_of_the_environment_is_used_and_left_alone(
    commands: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script(commands / CONTROL, "echo must not be called >&2; exit 1")
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/of/the/cluster")
    with side_by_side(wanted=True) as environment:
        assert not environment
    assert "daemon of CUDA_MPS_PIPE_DIRECTORY=/of/the/cluster" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("control", "why"),
    [(None, f"{CONTROL} not found"), ("echo An instance is running >&2; exit 1", "An instance is")],
)
def test_without_it_runs_take_turns(
    control: str | None,
    why: str,
    commands: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if control is None:
        monkeypatch.setenv("PATH", str(commands))
    else:
        script(commands / CONTROL, control)
    with side_by_side(wanted=True) as environment:
        assert not environment
    printed = capsys.readouterr().out
    assert "MPS is off" in printed and why in printed


def test_a_daemon_that_serves_nobody_is_ended(
    commands: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process that asks torch is one of its clients."""
    log = tmp_path / "log"
    script(commands / CONTROL, f'echo "$*" >> {log}; cat >> {log}')
    torch = commands / "python"
    script(
        torch,
        f'[ -d "$CUDA_MPS_PIPE_DIRECTORY" ] && [ "$*" = "-m training.process.device" ] || exit\n'
        f'echo asked >> {log}; echo "MPS client failed to connect. Update the driver."; exit 1',
    )
    monkeypatch.setattr("experiments.execution.mps.torch_fault", machine.torch_fault)
    monkeypatch.setattr("sys.executable", str(torch))
    with side_by_side(wanted=True) as environment:
        assert not environment
    assert log.read_text().split() == ["-d", "asked", "quit"]
    assert not list((tmp_path / "o" / "mps").iterdir())
    assert "MPS is off (MPS client failed to connect):" in capsys.readouterr().out


def test_a_path_too_long_for_a_socket_is_named(
    commands: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name in a socket's address has at most 108 bytes (unix(7))."""
    monkeypatch.undo()
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setenv("OUTPUT_DIR", str(commands / ("o" * 100)))
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
    script(commands / CONTROL, "exit 0")
    with side_by_side(wanted=True) as environment:
        assert not environment
    assert "OUTPUT_DIR is too long" in capsys.readouterr().out


def test_it_is_left_alone_where_runs_do_not_share_a_gpu(
    commands: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script(commands / CONTROL, "exit 1")
    with side_by_side(wanted=False) as environment:
        assert not environment and not capsys.readouterr().out


def test_as_many_runs_share_a_gpu_as_its_memory_holds(
    commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(
        commands / "nvidia-smi",
        'echo "0, GPU-aa, NVIDIA H100, 81559"; echo "1, GPU-bb, Small, 4096"; '
        'echo "2, GPU-cc, Odd, [N/A]"',
    )
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    machine.gpus.cache_clear()
    try:
        large, small, unknown = devices("auto")
        assert [device.name for device in (large, small, unknown)] == ["0", "1", "2"]
        assert large.has_room(JOBS[:2], JOBS[2])
        assert (large.most(JOBS[0]), large.most(HUGE), small.most(JOBS[0])) == (8, 1, 2)
        assert small.has_room([], HUGE) and not small.has_room(JOBS[:1], HUGE)
        assert unknown.has_room([], JOBS[0]) and not unknown.has_room(JOBS[:1], JOBS[1])
        assert [device.at_once for device in devices("3")] == [3, 3, 3]
        machine.gpus.cache_clear()
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-bb,7")
        assert {key: gpu.name for key, gpu in machine.gpus().items()} == {
            "GPU-bb": "Small",
            "7": "GPU",
        }
    finally:
        machine.gpus.cache_clear()


def test_several_runs_on_a_processor_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.execution.command.gpus", dict)
    monkeypatch.setattr("experiments.execution.command.cores", lambda: 8)
    (one,) = devices("auto")
    (two,) = devices("2")
    assert (one.at_once, list(one.options)) == (1, []) and (two.at_once, two.options) == (
        2,
        ["threads=4"],
    )
