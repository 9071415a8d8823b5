"""What of the captured step needs no GPU: it leaves no trace where it cannot capture."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.torch_version import TorchVersion

from data.arrays.imageset import ImageSet
from records.exits import NO_MEMORY
from tests.emulated import Emulated
from training.engines.graph import Captured, CudaGraphs
from training.recipe.step import Step
from training.runs.entry import guard
from training.settings.settings import Settings
from training.trainer import Trainer


def trained(settings: Settings, images: ImageSet, *, captured: bool) -> dict[str, torch.Tensor]:
    """Weights and metric sums after ten steps."""
    trainer = Trainer(settings, images, torch.device("cpu"))
    if captured:
        assert isinstance(trainer.step, Step)
        trainer.step = Captured(trainer.step, Emulated())
    trainer.begin_segment()
    for _ in range(10):
        trainer.train_iteration()
    momentum = {f"momentum {k}": v for k, v in trainer.optimizer.momentum.items()}
    return {**trainer.weights(), **momentum, "sums": trainer.metrics.sums}


def test_a_step_that_cannot_be_captured_runs_eagerly_with_equal_results(
    tiny: Callable[..., Settings],
    digits: ImageSet,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(self: Emulated, call: Callable[[], None]) -> None:
        call()
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(Emulated, "record", fail)
    expected = trained(tiny(), digits, captured=False)
    found = trained(tiny(), digits, captured=True)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    assert capsys.readouterr().err.count("runs eagerly") == 1


class FakeCuda:
    """What a capture asks of `torch.cuda`, noted in order; `fails` lets captures be invalidated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.said: list[Any] = []
        self.current, self.streams, self.pools = "main", 0, 0
        self.fails = ""
        self.generator = FakeGenerator()
        cuda = torch.cuda
        for name, stand_in in {
            "graph_pool_handle": self.pool, "Stream": self.stream, "Event": FakeEvent,
            "CUDAGraph": FakeGraph, "current_stream": lambda: FakeStream(self.current),
            "set_stream": self.set_stream, "stream": self.entered, "graph": self.graph,
            "current_device": lambda: 0, "default_generators": [self.generator],
        }.items():  # fmt: skip
            monkeypatch.setattr(cuda, name, stand_in)
        monkeypatch.setattr(
            torch._C, "_cuda_clearCublasWorkspaces", lambda: self.said.append("cleared"),
            raising=False,
        )  # fmt: skip

    def pool(self) -> str:
        self.pools += 1
        return f"pool{self.pools}"

    def stream(self) -> "FakeStream":
        self.streams += 1
        return FakeStream(f"side{self.streams}")

    def set_stream(self, stream: "FakeStream") -> None:
        self.current = stream.name

    @contextmanager
    def entered(self, stream: "FakeStream") -> Iterator[None]:
        before, self.current = self.current, stream.name
        yield
        self.current = before

    @contextmanager
    def graph(self, graph: object, **how: Any) -> Iterator[None]:
        self.said.append((how["pool"], how["stream"].name, how["capture_error_mode"]))
        self.current, self.generator.state = how["stream"].name, "capturing"
        yield
        if self.fails:  # as `capture_end` does, and then nobody leaves the stream
            raise torch.AcceleratorError(self.fails)
        self.current, self.generator.state = "main", "free"


class FakeStream:
    def __init__(self, name: str):
        self.name = name

    def wait_stream(self, other: "FakeStream") -> None:
        pass


class FakeGenerator:
    state = "free"

    def clone_state(self) -> str:  # a clone is in no capture
        return "free"

    def graphsafe_set_state(self, state: str) -> None:
        self.state = state


class FakeEvent:
    def __init__(self, *, blocking: bool):
        pass

    def record(self) -> None:
        pass

    def synchronize(self) -> None:
        pass


class FakeGraph:
    def replay(self) -> None:
        pass


class Adds:
    """A step that counts."""

    def __init__(self) -> None:
        self.count = torch.zeros(())
        self.tensors = [self.count]

    def __call__(self, size: int) -> None:
        self.count += size


def test_all_graphs_of_a_run_share_one_side_stream_and_its_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda = FakeCuda(monkeypatch)
    graphs = CudaGraphs()
    for step in (Captured(Adds(), graphs), Captured(Adds(), graphs)):  # training, evaluation
        step(64)
        step(28)
    assert cuda.streams == 1 and cuda.current == "main"
    # Workspaces of cuBLAS go with each; errors of other threads do no harm.
    assert cuda.said == ["cleared", ("pool1", "side1", "thread_local"), "cleared"] * 4


def test_earlier_graphs_keep_the_generator_that_is_seeded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even if the next draw fails: another generator's draws would be no function of the seed."""
    cuda, graphs = FakeCuda(monkeypatch), CudaGraphs()
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.11.0"))
    Captured(Adds(), graphs)(64)
    cuda.fails = "CUDA error: operation failed due to a previous error during capture"
    Captured(Adds(), graphs)(28)
    assert cuda.generator.state == "capturing"


@pytest.mark.parametrize("version", ["2.11.0+cu130", "2.14.1+cu130"])
def test_an_invalidated_capture_runs_eagerly_on_the_stream_it_began_on(
    version: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cuda = FakeCuda(monkeypatch)
    monkeypatch.setattr(torch, "__version__", TorchVersion(version))
    cuda.fails = "CUDA error: operation failed due to a previous error during capture"
    adds, graphs = Adds(), CudaGraphs()
    step = Captured(adds, graphs)
    step(64)
    assert step.fault and cuda.current == "main" and float(adds.count) == 64
    if version < "2.13":  # a generator of later ones is in no capture after it
        assert cuda.generator.state == "free", "random draws outside of a capture"
    assert "runs eagerly: it cannot be captured (CUDA error" in capsys.readouterr().err
    step(28)
    assert float(adds.count) == 92 and not step.launches
    cuda.fails = ""
    evaluation = Captured(Adds(), graphs)
    evaluation(64)
    assert not evaluation.fault and cuda.said[-2][0] == "pool2", "the first one counts as in use"


def test_what_decides_on_the_host_at_random_runs_eagerly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A graph would repeat the decision of its capture for ever."""
    FakeCuda(monkeypatch)

    class AddsAtTimes(Adds):
        def __call__(self, size: int) -> None:
            self.count += size * (torch.rand(()) < 0.5)

    torch.manual_seed(0)
    expected = 64 * sum(torch.rand(()) < 0.5 for _ in range(40))
    torch.manual_seed(0)
    adds = AddsAtTimes()
    step = Captured(adds, CudaGraphs())
    for _ in range(40):
        step(64)
    assert float(adds.count) == float(expected)
    assert "draws random numbers on the CPU" in capsys.readouterr().err


def test_what_a_failed_warm_up_has_launched_ends_before_tensors_are_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    FakeCuda(monkeypatch)
    events: list[str] = []

    class Fails(Adds):
        def __call__(self, size: int) -> None:
            events.append("called")
            if len(events) == 2:
                raise RuntimeError("CUBLAS_STATUS_ALLOC_FAILED")

    step = Captured(Fails(), CudaGraphs())
    monkeypatch.setattr(
        FakeStream, "wait_stream", lambda self, other: events.append(f"{self.name} waits")
    )
    monkeypatch.setattr(step, "restore", lambda saved: events.append("restored"))
    step(64)
    assert events == ["side1 waits", "called", "main waits", "restored", "called"]


@pytest.mark.parametrize("error", [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB."),
    torch.AcceleratorError("CUDA error: out of memory"),  # of a graph that is instantiated
    RuntimeError("Triton Error [CUDA]: out of memory"),  # of the code of a kernel
])  # fmt: skip
def test_without_memory_nothing_runs_eagerly(
    error: RuntimeError, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cuda = FakeCuda(monkeypatch)

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch.cuda, "graph", fail)
    step = Captured(Adds(), CudaGraphs())
    with pytest.raises(type(error)):
        step(64)
    assert cuda.current == "main"
    with pytest.raises(SystemExit) as ended:
        guard(lambda: step(64), resumable=True)
    assert ended.value.code == NO_MEMORY and "Free the GPU" in capsys.readouterr().err
