"""Nothing of a step or an evaluation happens on the host; tried on a device without memory."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from data.arrays.imageset import ImageSet
from data.photographs.colour import DRAWN, Recolour
from tests.emulated import Repeated
from training.engines.graph import Captured
from training.settings.settings import Settings
from training.trainer import Trainer

META = torch.device("meta")
# What takes values from the host, or to it.
CROSSING = {
    torch.tensor, torch.as_tensor, torch.from_numpy, Tensor.item, Tensor.tolist, Tensor.cpu,
    Tensor.numpy, Tensor.__float__, Tensor.__int__, Tensor.__bool__,
}  # fmt: skip


class NoCrossing(TorchFunctionMode):
    """Refuses functions between host and device."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in CROSSING, f"{func} crosses between host and device"
        return func(*args, **(kwargs or {}))


class NoHost(TorchDispatchMode):
    """Refuses operations on tensors of the host."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # The update, which returns nothing, cannot be tried without memory.
        update = func.overloadpacket is torch.ops.aten._fused_sgd_
        results = None if update else func(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, results)):
            if isinstance(value, Tensor):
                assert value.device == META, f"{func} works on the host"
        return results


CASES = {
    "original": [],
    "he2016": ["recipe=he2016", "model.order=full_preact", "model.match=pool"],
    "fair": ["recipe=fair"],
    "gate": ["model.shortcut=exclusive_gate", "model.gate_bias=-2.0"],
    "dropout": ["model.shortcut=dropout"],
    "stochastic": ["model.depth=14", "model.survival=0.5"],
    "plateau": ["recipe.schedule=plateau", "recipe.milestones=[]"],
    "dense": ["experiment=huang2017_dense/table2/densenet_40_12", "model.depth=7"],
    "dense_bc": ["experiment=huang2017_dense/table2/densenet_bc_100_12", "model.depth=10"],
}


@pytest.mark.parametrize("case", CASES)
def test_a_step_and_an_evaluation_stay_on_the_device(
    case: str,
    tiny: Callable[..., Settings],
    digits: ImageSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Which knows that CUDA has a fused update, and nothing of this device.
    module = sys.modules[torch.optim.SGD.__module__]
    monkeypatch.setattr(module, "_device_dtype_check_for_fused", lambda *_, **__: None)
    settings = tiny(*CASES[case], "preset=smoke")
    trainer = Trainer(settings, digits, META, graphs=Repeated())
    assert isinstance(trainer.step, Captured)
    trainer.begin_segment()
    with NoCrossing(), NoHost():
        trainer.step.step(64)
    evaluation = trainer.evaluations["test"]
    evaluation.start()
    with NoCrossing(), NoHost():
        evaluation(100)


@pytest.mark.parametrize("kind", ["pca", "jitter"])
def test_colours_change_on_the_device(kind: str) -> None:
    recolour = Recolour(kind, META)
    with NoCrossing(), NoHost():
        recolour(torch.zeros(4, 8, 8, 3, device=META), torch.zeros(4, DRAWN, device=META))


def test_a_constant_from_the_host_would_show() -> None:
    with pytest.raises(AssertionError, match="crosses"), NoCrossing():
        torch.tensor([1.0, 2.0], device=META)
    with pytest.raises(AssertionError, match="works on the host"), NoHost():
        _ = torch.zeros(3, device=META) * torch.zeros(())
