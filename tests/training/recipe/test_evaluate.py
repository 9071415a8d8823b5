"""Evaluation in batches, against all images at once."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.recipe.evaluate import Evaluation, evaluate


class Seen(nn.Module):
    """A linear classifier that notes how many images it sees at once."""

    def __init__(self, values: int):
        super().__init__()
        self.classifier, self.sizes = nn.Linear(values, 10), list[int]()

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        logits: Tensor = self.classifier(x.flatten(1))
        return logits


@pytest.mark.parametrize(("count", "side", "sizes"), [
    (1203, 4, [500, 500, 203]), (7, 4, [7]), (500, 4, [500]),
    (101, 224, [100, 1]), (57, 299, [56, 1]),  # at most 100 images of 224 pixels
])  # fmt: skip
def test_every_image_is_evaluated_once(count: int, side: int, sizes: list[int]) -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8)
    labels = torch.randint(0, 10, (count,))
    model = Seen(3 * side * side)
    mean, scale = torch.tensor([120.0, 110.0, 100.0]), torch.tensor(0.02)
    with torch.no_grad():
        logits = model(((images - mean) * scale).permute(0, 3, 1, 2))
    wrong = 100 * float((logits.argmax(1) != labels).double().mean())
    model.sizes.clear()
    loss, error = evaluate(model, images, labels, mean=mean, scale=scale, bf16=False)
    assert model.sizes == sizes and not model.training
    assert loss == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)
    assert error == pytest.approx(wrong)


def test_an_evaluation_can_be_repeated() -> None:
    images = torch.randint(0, 256, (503, 4, 4, 3), dtype=torch.uint8)
    evaluation = Evaluation(
        Seen(48), images, torch.arange(503) % 10, torch.zeros(3), torch.tensor(0.01), bf16=False
    )
    found = []
    for _ in range(2):
        for size in evaluation.start():
            evaluation(size)
        found.append(evaluation.metrics.mean())
    assert found[0] == found[1]
