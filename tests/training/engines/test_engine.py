"""Which engine executes a step, and what is refused."""

from collections.abc import Callable

import pytest
import torch

from data.arrays.imageset import ImageSet
from training.engines.engine import choose_engine
from training.settings.settings import ConfigError, Settings
from training.trainer import Trainer

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_auto_is_eager_on_a_cpu_and_fused_on_a_gpu_where_the_kernels_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert choose_engine("auto", CPU) == "eager"
    monkeypatch.setattr("training.engines.kernels.check.check", lambda device: None)
    assert choose_engine("auto", CUDA) == "fused"

    def fail(device: torch.device) -> None:
        raise RuntimeError("PTX was compiled with an unsupported toolchain\nand more")

    monkeypatch.setattr("training.engines.kernels.check.check", fail)
    assert choose_engine("auto", CUDA) == "captured"
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

    monkeypatch.setattr("training.engines.kernels.check.check", fail)
    message = r"engine=fused does not work here \(No module named 'triton'\); use engine=auto\."
    with pytest.raises(ConfigError, match=message):
        choose_engine("fused", CUDA)


@pytest.mark.parametrize("device", [CPU, CUDA], ids=str)
def test_several_processes_for_a_run_capture_nothing(device: torch.device) -> None:
    assert choose_engine("auto", device, alone=False) == "eager"
    for name in ("captured", "fused"):
        with pytest.raises(ConfigError, match=f"engine={name} is for one process a run"):
            choose_engine(name, device, alone=False)


def test_bfloat16_is_refused_on_a_gpu_without_it(
    tiny: Callable[..., Settings], digits: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.process.device.has_bf16", lambda: False)
    with pytest.raises(ConfigError, match="no bfloat16; use precision=tf32"):
        Trainer(tiny("precision=bf16"), digits, CUDA)
