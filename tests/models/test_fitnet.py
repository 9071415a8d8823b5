"""FitNets against published counts and map sizes, and what a teacher adds."""

import pytest
import torch
from torch import nn

from models.fitnet import FitNet, halves
from models.maxout import MaxoutNetwork
from tests.models.test_stack import words
from training.settings.network import outline

FITNET, MAXOUT = words("model/fitnet.yaml"), words("model/maxout.yaml")
SMALL = {"layers": "3x4p1 m2 3x6p1 m2 3x5p1 g", "size": 16, "hidden": 7, "hint": 8, "bound": 0.3}
GUIDE = {"layers": "8x6p4 m4 8x8p3 m4 5x8p3 m2", "size": 16, "hidden": 9, "bound": 0.3}


@pytest.mark.parametrize(("classes", "count"), [(10, 2_742_102), (100, 2_787_192)])
def test_size_and_maps_are_the_papers(classes: int, count: int) -> None:
    target = "models.fitnet.FitNet"
    model = outline({"_target_": target, "layers": FITNET, "classes": classes})
    assert isinstance(model, FitNet)
    assert sum(p.numel() for p in model.student.parameters()) == count
    assert sum(p.numel() for p in model.heads.parameters()) == 123_264
    guided, rest = halves(model.student)
    middle = guided(torch.empty(1, 3, 32, 32, device="meta"))
    assert middle.shape == (1, 80, 8, 8) and rest(middle).shape == (1, 128, 1, 1)
    assert sum(isinstance(m, nn.Conv2d) for m in guided.modules()) == 11
    with torch.device("meta"):
        hint = halves(MaxoutNetwork(MAXOUT).eval())[0](torch.empty(1, 3, 32, 32))
    assert hint.shape == model.heads[0](middle).shape == (1, 192, 7, 7)


def test_a_teacher_adds_outputs_in_training_and_is_no_part_of_the_network() -> None:
    torch.manual_seed(0)
    model, teacher = FitNet(**SMALL), MaxoutNetwork(**GUIDE)  # type: ignore[arg-type]
    names, x = list(model.state_dict()), torch.randn(2, 3, 16, 16)
    plain = model.eval()(x)
    model.follow(teacher)
    assert list(model.state_dict()) == names and torch.equal(model(x), plain)
    logits, regressed, taught, hint = model.train()(x)
    # Neither has normalisation, the student no dropout, and the teacher is never in training.
    torch.testing.assert_close(logits, plain)
    torch.testing.assert_close(taught, teacher(x))
    assert regressed.shape == hint.shape == (2, 8, 3, 3) and not teacher.training
    assert not hint.requires_grad and not taught.requires_grad
    assert not any(p.requires_grad for p in teacher.parameters())


@pytest.mark.parametrize(("changes", "named"), [
    ({"hint": 0}, "hint=0 is below 1"),
    ({"layers": "3x4p1 m2 g"}, "layers has no second pooling"),
    ({"layers": "m2 m2 3x4"}, "layers='m2 m2 3x4' has no convolution before"),
    ({"classes": 1}, "classes=1 is below 2"),
])  # fmt: skip
def test_impossible_arguments_are_named(changes: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        FitNet(**SMALL | changes)  # type: ignore[arg-type]
