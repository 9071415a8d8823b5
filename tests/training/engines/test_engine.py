"""Which engine executes a step, and what is refused."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from data.arrays.imageset import ImageSet
from training.engines.engine import choose_engine
from training.settings.settings import Settings
from training.settings.types import ConfigError
from training.trainer import Trainer

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_auto_is_eager_on_a_cpu_and_fused_on_a_gpu_where_the_kernels_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert choose_engine("auto", CPU) == ("eager", None)
    monkeypatch.setattr("training.engines.check.once", lambda device: None)
    assert choose_engine("auto", CUDA) == ("fused", None)

    def fail(device: torch.device) -> None:
        raise RuntimeError("PTX was compiled with an unsupported toolchain\nand more")

    monkeypatch.setattr("training.engines.check.once", fail)
    reason = "PTX was compiled with an unsupported toolchain"
    assert choose_engine("auto", CUDA) == ("captured", reason)
    assert "unsupported toolchain): engine=captured" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["captured", "fused"])
def test_engines_of_a_gpu_are_refused_on_a_cpu(name: str) -> None:
    with pytest.raises(ConfigError, match=f"engine={name} needs a CUDA GPU"):
        choose_engine(name, CPU)


def test_an_engine_that_does_not_work_is_refused_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise ImportError("No module named 'triton'\nand more")

    monkeypatch.setattr("training.engines.check.once", fail)
    message = r"engine=fused does not work here \(No module named 'triton'\); use engine=auto\."
    with pytest.raises(ConfigError, match=message):
        choose_engine("fused", CUDA)


@pytest.mark.parametrize("device", [CPU, CUDA], ids=str)
def test_several_processes_for_a_run_capture_nothing(device: torch.device) -> None:
    assert choose_engine("auto", device, alone=False) == ("eager", None)
    for name in ("captured", "fused"):
        with pytest.raises(ConfigError, match=f"engine={name} supports one process per run"):
            choose_engine(name, device, alone=False)


def test_bfloat16_is_refused_on_a_gpu_without_it(
    tiny: Callable[..., Settings], digits: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.process.device.has_bf16", lambda: False)
    with pytest.raises(ConfigError, match="no bfloat16; use precision=tf32"):
        Trainer(tiny("precision=bf16"), digits, CUDA)


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The check of the kernels, on a machine that has passed none; its mark goes to `tmp_path`."""
    triton = pytest.importorskip("triton")
    from training.engines import check

    monkeypatch.setattr(triton.knobs.cache, "dir", str(tmp_path))
    monkeypatch.setattr(check, "_key", lambda device: "key")
    return check


def test_kernels_are_checked_once_in_a_process_of_its_own(
    check: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes, run = [], subprocess.run
    failure = subprocess.CompletedProcess(
        [], 1, "", "Traceback\n  File x\nRuntimeError: no kernels\n"
    )

    def counted(*given: Any, **more: Any) -> Any:
        processes.append(given)
        return run(*given, **more) if len(processes) > 1 else failure

    monkeypatch.setattr(check.subprocess, "run", counted)
    monkeypatch.setenv("TRITON_INTERPRET", "1")  # on a machine with a GPU, too
    with pytest.raises(RuntimeError) as failed:
        check.once(CPU)
    assert len(str(failed.value).splitlines()) == 1 and not list(tmp_path.glob("residual*"))
    check.once(CPU)
    check.once(CPU)
    assert len(processes) == 2, "one that failed, one that passed"


@pytest.mark.parametrize(("name", "index"), [("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)])
def test_the_check_is_made_on_the_gpu_that_is_named(
    name: str, index: int, check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests and bench say `cuda`; `torch.cuda.set_device` takes no device without an index."""
    chosen: list[int] = []
    monkeypatch.setattr(torch._C, "_cuda_setDevice", chosen.append, raising=False)
    for kernels in ("_norm", "_loss", "_batch", "_dense", "_conv"):
        monkeypatch.setattr(check, kernels, lambda device: [])
    check.check(torch.device(name))
    assert chosen == [index]


@pytest.mark.slow
def test_a_process_without_kernels_fails_in_one_line(
    check: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the interpreter Triton has none for a CPU: the process ends with a traceback."""
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with pytest.raises(RuntimeError) as failed:
        check.once(CPU)
    assert len(str(failed.value).splitlines()) == 1 and not list(tmp_path.glob("residual*"))


CUDA_ERROR = """Traceback (most recent call last):
  File "check.py", line 9, in <module>
    check(device)
torch.AcceleratorError: CUDA error: an illegal memory access was encountered
Search for `cudaErrorIllegalAddress' in the documentation for more information.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1

"""


@pytest.mark.parametrize(
    ("stderr", "kind", "reason"),
    [
        (CUDA_ERROR, RuntimeError, "AcceleratorError: CUDA error: an illegal memory access"),
        ("torch.OutOfMemoryError: CUDA out of memory.\n", torch.OutOfMemoryError, "out of memory"),
        ("E: x\ntriton.runtime.errors.OutOfResources: out of resource\nadvice", RuntimeError,
         "OutOfResources: out of resource"),
        ("/bin/sh: no C compiler\n", RuntimeError, "no C compiler"),
        ("", RuntimeError, "exit code 1"),
    ],
)  # fmt: skip
def test_why_the_kernels_fail_is_the_error_itself(
    stderr: str, kind: type[Exception], reason: str, check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without memory nothing is known of the kernels: the run must not go on without them."""
    ended = subprocess.CompletedProcess([], 1, "", stderr)
    monkeypatch.setattr(check.subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(kind, match=reason) as failed:
        check.once(torch.device("cuda:1"))
    assert str(failed.value).count("\n") == 0 and type(failed.value) is kind


def test_a_record_says_why_its_engine_is_not_the_fastest(
    tiny: Callable[..., Settings], digits: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.runs.summary import summarise

    for reason in (None, "no C compiler"):
        monkeypatch.setattr(
            "training.engines.engine.choose_engine",
            lambda *_, reason=reason, **__: ("eager", reason),
        )
        trainer = Trainer(tiny(), digits, CPU)
        trainer.begin_segment()
        trainer.train_iteration()
        row = {"test_error": 1.0, "test_loss": 1.0, "train_loss": 1.0, "train_error": 1.0}
        summary = summarise(tiny(), trainer, rows=[row], seconds=1.0, code=[], devices=[])
        assert summary.get("engine_reason") == reason
