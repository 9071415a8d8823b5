"""Which engine executes a step, and that all that run on a CPU learn the same."""

from collections.abc import Callable

import pytest
import torch

from data.arrays import ImageSet
from training.engine import choose_engine
from training.settings import ConfigError, Settings
from training.trainer import Trainer

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_auto_is_eager_on_a_cpu_and_fused_on_a_gpu_where_the_kernels_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert choose_engine("auto", CPU) == "eager"
    monkeypatch.setattr("training.kernels.check.check", lambda device: None)
    assert choose_engine("auto", CUDA) == "fused"

    def fail(device: torch.device) -> None:
        raise RuntimeError("PTX was compiled with an unsupported toolchain\nand more")

    monkeypatch.setattr("training.kernels.check.check", fail)
    assert choose_engine("auto", CUDA) == "captured"
    assert "unsupported toolchain): engine=captured" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["captured", "fused"])
def test_engines_of_a_gpu_are_refused_on_a_cpu(name: str) -> None:
    with pytest.raises(ConfigError, match=f"engine={name} needs a CUDA GPU"):
        choose_engine(name, CPU)


@pytest.mark.parametrize("name", ["fused", "compiled"])
def test_an_engine_that_does_not_work_is_refused_with_its_reason(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ImportError("No module named 'triton'\nand more")

    monkeypatch.setattr("training.kernels.check.check", fail)
    monkeypatch.setattr(torch, "compile", fail)
    message = rf"engine={name} does not work here \(No module named 'triton'\); use engine=auto\."
    with pytest.raises(ConfigError, match=message):
        choose_engine(name, CUDA)


def test_bfloat16_is_refused_on_a_gpu_without_it(
    tiny: Callable[..., Settings], digits: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.device.has_bf16", lambda: False)
    with pytest.raises(ConfigError, match="no bfloat16; use precision=tf32"):
        Trainer(tiny("precision=bf16"), digits, CUDA)


@pytest.mark.slow
def test_compiled_blocks_learn_what_plain_ones_do(
    tiny: Callable[..., Settings], digits: ImageSet
) -> None:
    losses = {}
    for name in ("eager", "compiled"):
        trainer = Trainer(tiny(f"engine={name}", "precision=fp32"), digits, CPU)
        trainer.start_segment()
        losses[name] = []
        for _ in range(5):
            trainer.train_iteration()
            losses[name].append(trainer.take_training_metrics()[0])
        assert trainer.evaluate("test")[0] > 0
    assert losses["compiled"] == pytest.approx(losses["eager"], rel=1e-3)
