"""FractalNet against published counts, the paper's recursion written out, and its drop-path's
probabilities."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.fractalnet import DropPath, FractalNet, columns_of, joins_of, make_layer
from tests.conftest import assert_computes
from training.settings.network import outline

WIDTHS = (64, 128, 256, 512, 512)
SMALL: dict[str, Any] = {"depth": 13, "widths": (4, 6, 6)}  # three blocks of three columns


@pytest.mark.parametrize(("classes", "count"), [(10, 33_714_314), (100, 33_760_484)])
def test_it_has_the_size_of_the_authors_generator(classes: int, count: int) -> None:
    model = outline({"_target_": "models.fractalnet.FractalNet", "classes": classes})
    assert sum(p.numel() for p in model.parameters()) == count
    assert model(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, classes)


def test_maps_are_halved_by_every_block() -> None:
    with torch.device("meta"):
        model = FractalNet()
    x = torch.empty(1, 3, 32, 32, device="meta")
    for block, width, size in zip(model.blocks, WIDTHS, (16, 8, 4, 2, 1), strict=True):
        x = block(x, None)
        assert x.shape == (1, width, size, size)
        assert [len(column) for column in block.columns] == [1, 2, 4]


def written_out(x: Tensor, weights: dict[str, Tensor], columns: int, blocks: int) -> Tensor:
    """f_1 = conv, f_c+1 = join(f_c after f_c, conv); what a join's input joins, it joins, too."""

    def layer(x: Tensor, block: int, column: int, number: int) -> Tensor:
        name = f"blocks.{block}.columns.{column}.{number}"
        w = {key: weights[f"{name}.{key}"] for key in
             ("0.weight", "0.bias", "1.running_mean", "1.running_var")}  # fmt: skip
        x = F.conv2d(x, w["0.weight"], w["0.bias"], padding=1)
        mean, var = (w[f"1.running_{key}"].view(-1, 1, 1) for key in ("mean", "var"))
        return ((x - mean) / (var + 1e-5).sqrt()).clamp(min=0)

    for block in range(blocks):
        done = [0] * columns

        def fractal(x: Tensor, c: int, block: int = block, done: list[int] = done) -> list[Tensor]:
            """What comes out of the columns of f_c, the shallowest first, not yet joined."""
            column = columns - c
            deeper = []
            if c > 1:
                inner = fractal(x, c - 1)
                deeper = fractal(torch.stack(inner).mean(0), c - 1)
            done[column] += 1
            return [layer(x, block, column, done[column] - 1), *deeper]

        x = torch.stack([F.max_pool2d(y, 2) for y in fractal(x, columns)]).mean(0)
    return x.mean((2, 3)) @ weights["classifier.weight"].T + weights["classifier.bias"]


@pytest.mark.parametrize(("depth", "columns"), [(4, 1), (7, 2), (13, 3), (25, 4)])
def test_logits_and_gradients_equal_the_recursion(depth: int, columns: int) -> None:
    """In evaluation nothing is dropped: a join is the mean of all that it joins."""
    torch.manual_seed(0)
    model = FractalNet(depth, widths=(4, 6, 6), drop_path=0.15).double().eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.num_batches_tracked = None
            nn.init.uniform_(layer.running_mean, -1, 0)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.5, 2)  # type: ignore[arg-type]
    assert_computes(model, written_out, columns, 3)


@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_global_column_is_alone_in_the_network(column: int) -> None:
    """The joins hand on what 2^c layers a block make; nothing else has a gradient."""
    torch.manual_seed(0)
    model, x = FractalNet(**SMALL, drop_path=0.15, global_share=1.0), torch.randn(4, 3, 16, 16)
    paths = model.drop_path
    assert paths is not None
    while True:
        weights = paths.draw()
        if weights[-1, column]:
            break
    paths.forward = lambda: weights  # type: ignore[method-assign]
    logits = model(x)
    logits.square().sum().backward()
    alone: Any = x
    for block in model.blocks:
        layers: Any = block.columns  # type: ignore[union-attr]
        alone = F.max_pool2d(layers[column](alone), 2)
        used = [sum(bool(layer[0].weight.grad.any()) for layer in other) for other in layers]
        assert used == [2**column if other == column else 0 for other in range(3)]
    torch.testing.assert_close(model.classifier(alone.mean((2, 3))), logits)


JOINS = [2, 3] * 5


def test_what_is_drawn_has_the_papers_probabilities() -> None:
    count, rate = 6000, 0.15
    paths = DropPath(JOINS, 3, rate, 0.5)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([paths.draw(generator) for _ in range(count)])
    kept = drawn > 0
    joined = torch.tensor(JOINS)
    assert (kept.sum(2) >= 1).all() and (kept.sum(2) <= joined).all(), "a join without an input"
    torch.testing.assert_close(drawn.sum(2), torch.ones(count, len(JOINS)))
    assert torch.equal(drawn, kept / kept.sum(2, keepdim=True)), "survivors count alike"
    # Global: every join of all columns takes one, the same; local joins agree on one only by
    # chance, which is once in more than 10^9 draws.
    last = kept[:, 1::2]
    alike = (last.sum(2) == 1).all(1) & (last == last[:, :1]).all((1, 2))
    close(alike.float(), 0.5)
    chosen = last[alike, 0]
    for column in range(3):
        close(chosen[:, column].float(), 1 / 3)
    # Joins of two columns take the global one, or both where it is not theirs.
    first = kept[alike, 0::2]
    assert torch.equal(first[..., 1:], (chosen | chosen[:, :1])[:, None, 1:].expand(-1, 5, 2))
    # Local: dropped with the rate; where all would be, one of n stays.
    local = kept[~alike]
    for join, inputs in enumerate(JOINS):
        for column in range(3 - inputs, 3):
            close(local[:, join, column].float(), 1 - rate + rate**inputs / inputs)
        both = local[:, join, 1] & local[:, join, 2]
        close(both.float(), (1 - rate) ** 2)
    apart = local[:, 1, 2] & local[:, 3, 2]  # joins draw independently of each other
    close(apart.float(), (1 - rate + rate**3 / 3) ** 2)


def close(sample: Tensor, probability: float) -> None:
    """Whether a share is within four deviations of a probability."""
    deviation = (probability * (1 - probability) / len(sample)) ** 0.5
    assert float(sample.mean()) == pytest.approx(probability, abs=4 * deviation)


def test_a_rate_of_almost_one_leaves_one_input() -> None:
    paths = DropPath(JOINS, 3, 0.999, 0.0)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([paths.draw(generator) for _ in range(300)])
    assert ((drawn > 0).sum(2) >= 1).all()
    for join, inputs in enumerate(JOINS):
        for column in range(3 - inputs, 3):
            assert 0.2 < float(drawn[:, join, column].mean()) < 0.65


def test_layers_are_those_of_the_authors_generator() -> None:
    torch.manual_seed(0)
    model = FractalNet(dropout=0.4, depth=21, widths=(64, 64, 64, 64, 64))
    for number, block in enumerate(model.blocks):
        for column in block.columns:  # type: ignore[union-attr]
            for layer in column:  # type: ignore[attr-defined]
                kinds = [nn.Conv2d, nn.Dropout, nn.BatchNorm2d, nn.ReLU]
                if number == 0:
                    kinds.remove(nn.Dropout)
                assert [type(part) for part in layer] == kinds
                conv, norm = layer[0], layer[-2]
                assert norm.weight is None and norm.bias is None and not conv.bias.any()
                bound = (3 / (9 * conv.in_channels)) ** 0.5
                assert 0.9 * bound < float(conv.weight.detach().abs().max()) <= bound
                if number:
                    assert layer[1].p == pytest.approx(0.1 * number)
    bound = (3 / 64) ** 0.5
    assert 0.9 * bound < float(model.classifier.weight.detach().abs().max()) <= bound


def test_a_batch_moves_the_statistics_by_a_hundredth() -> None:
    torch.manual_seed(0)
    layer, x = make_layer(3, 4, 0.0), torch.randn(5, 3, 6, 6)
    layer(x)
    maps = layer[0](x).detach().transpose(0, 1).flatten(1)
    torch.testing.assert_close(layer[1].running_mean, 0.01 * maps.mean(1))
    torch.testing.assert_close(layer[1].running_var, 0.99 + 0.01 * maps.var(1))


@pytest.mark.parametrize(("columns", "joins"), [(1, []), (2, [2]), (3, [2, 3]), (4, [2, 3, 2, 4])])
def test_joins_follow_the_fractal(columns: int, joins: list[int]) -> None:
    assert joins_of(columns) == joins
    assert columns_of(5 * 2 ** (columns - 1) + 1, 5) == columns


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"depth": 20}, "depth=20 is not a fractal of 5 blocks"),
     ({"depth": 16}, "depth=16 is not a fractal of 5 blocks"),
     ({"depth": 1}, "depth=1 is not a fractal"), ({"classes": 1}, "classes=1 is below 2"),
     ({"widths": ()}, "widths=.* positive"), ({"widths": (8, 0)}, "widths=.* positive"),
     ({"dropout": 1.0}, r"dropout=1.0 is not in \[0, 1\)"),
     ({"drop_path": -0.1}, r"drop_path=-0.1 is not in \[0, 1\)"),
     ({"global_share": 1.5}, r"global_share=1.5 is not in \[0, 1\]")],
)  # fmt: skip
def test_impossible_arguments_are_named(arguments: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        FractalNet(**arguments)
