"""Graphs on a CPU that do what CUDA graphs do: they repeat what was launched, on the same memory.

Whatever Python decides anew in a step, or binds to a new tensor, is as frozen in them as there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITING = (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero)
Launch = Callable[[], None]


class Recording(TorchDispatchMode):
    """Does operations, and keeps them: what has to be called, and what becomes of its results."""

    def __init__(self) -> None:
        super().__init__()
        self.launches: list[Launch] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: tuple = (), keywords: Any = None
    ) -> Any:
        if function.overloadpacket in WAITING:
            raise RuntimeError(f"{function} makes the host wait: no graph can hold it")
        keywords = keywords or {}
        results = function(*arguments, **keywords)
        known = {memory(value) for value in tensors((arguments, keywords))}
        made = [memory(value) not in known for value in tensors(results)]
        places = tensors(results)

        def launch() -> None:
            again = tensors(function(*arguments, **keywords))
            for place, value, new in zip(places, again, made, strict=True):
                if new and place.numel():
                    place.copy_(value)

        self.launches.append(launch)
        return results


class Emulated:
    """See `training.engines.graph.Graphs`."""

    def __init__(self) -> None:
        self.recorded: list[Recording] = []
        self.replayed = 0

    def warm_up(self, call: Launch) -> None:
        call()

    def record(self, call: Launch) -> Launch:
        with Recording() as recording, kernels_recorded(recording):
            call()
        self.recorded.append(recording)

        def replay() -> None:
            self.replayed += 1
            with torch.no_grad():
                for launch in recording.launches:
                    launch()

        return replay


class Repeated:
    """Graphs that are none: each launch calls the step."""

    def warm_up(self, call: Launch) -> None:
        call()

    def record(self, call: Launch) -> Launch:
        return call


@contextmanager
def kernels_recorded(recording: Recording) -> Iterator[None]:
    """Keep launches of Triton's interpreter, too, which are no operations of PyTorch."""
    try:
        from triton.runtime.interpreter import GridExecutor
    except ImportError:
        yield
        return
    call = GridExecutor.__call__

    def launch(self: Any, *arguments: Any, **keywords: Any) -> None:
        with torch.utils._python_dispatch._disable_current_modes():
            call(self, *arguments, **keywords)
        recording.launches.append(lambda: call(self, *arguments, **keywords))

    with patch.object(GridExecutor, "__call__", launch):
        yield


def tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
