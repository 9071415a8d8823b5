"""Dense networks: published counts, a layer written out, and the form that saves memory."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.densenet import DenseBlock, DenseLayer, DenseNet
from training.settings.network import outline, trace

BC = {"bottleneck": True, "compression": 0.5}
IMAGENET = {"images": "imagenet", "classes": 1000, **BC}
# Huang et al. 2017, Table 2 (as printed: 1.0M 7.0M 27.2M 0.8M 15.3M 25.6M) and Table 1; the depths
# of Fig. 4. Parameters, and multiply-adds in millions where they are published.
NETWORKS = [
    (40, 12, {}, 1_019_722, 265),
    (40, 12, {"classes": 100}, 1_060_132, None),
    (100, 12, {}, 6_979_642, 1770),
    (100, 12, {"classes": 100}, 7_084_852, None),
    (100, 24, {}, 27_249_082, 6889),
    (100, 24, {"classes": 100}, 27_457_972, None),
    (100, 12, BC, 769_162, 288),
    (100, 12, BC | {"classes": 100}, 800_032, None),
    (250, 24, BC, 15_324_406, 5419),
    (250, 24, BC | {"classes": 100}, 15_480_556, None),
    (190, 40, BC, 25_624_430, 9302),
    (190, 40, BC | {"classes": 100}, 25_821_620, None),
    (121, 32, IMAGENET, 7_978_856, 2833),
    (169, 32, IMAGENET, 14_149_480, 3360),
    (201, 32, IMAGENET, 20_013_928, 4290),
    (161, 48, IMAGENET, 28_681_000, 7730),
    (264, 32, IMAGENET, 33_337_704, 5750),
]


TRACED = [(40, 12, {}), (100, 12, BC), (121, 32, IMAGENET)]  # the others differ in numbers alone


@pytest.mark.parametrize(
    ("depth", "growth", "arguments", "params", "mega"),
    [
        pytest.param(*network, marks=() if network[:3] in TRACED else pytest.mark.slow)
        for network in NETWORKS
    ],
)
def test_networks_have_the_papers_size(
    depth: int, growth: int, arguments: dict, params: int, mega: int | None
) -> None:
    model = outline(
        {"_target_": "models.densenet.DenseNet", "depth": depth, "growth": growth, **arguments}
    )
    assert sum(p.numel() for p in model.parameters()) == params
    if mega is not None:
        size = 224 if "images" in arguments else 32
        assert trace(model, size)[0][""] / 1e6 == pytest.approx(mega, rel=0.002)


def test_depth_counts_the_weighted_layers() -> None:
    for depth, arguments in ((40, {}), (100, BC)):
        model = DenseNet(depth, 4, **arguments)  # type: ignore[arg-type]
        layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        assert len(layers) == depth


def test_a_layer_is_h_of_section_3() -> None:
    torch.manual_seed(0)
    layer = DenseLayer(10, 4, bottleneck=True, dropout=0.0, efficient=False).double()
    maps = [torch.randn(3, width, 6, 6, dtype=torch.float64) for width in (6, 4)]
    x = torch.cat(maps, 1)
    for part in (layer.first, layer.second):
        x = F.batch_norm(x, None, None, training=True).relu()  # scale 1, shift 0
        conv = part.conv1
        x = F.conv2d(x, conv.weight, padding=conv.padding)  # type: ignore[arg-type, union-attr]
    torch.testing.assert_close(layer(maps), x)


def test_every_layer_sees_all_before_it() -> None:
    block = DenseBlock(5, 3, 4, bottleneck=False, dropout=0.0, efficient=False)
    assert [layer.first.conv1.in_channels for layer in block.layers] == [5, 9, 13]  # type: ignore[union-attr]
    x = torch.randn(2, 5, 4, 4)
    out = block(x)
    assert out.shape[1] == block.w_out == 17
    assert torch.equal(out[:, :5], x)
    torch.testing.assert_close(out[:, 5:9], block.layers[0]([x]))


@pytest.mark.parametrize("arguments", [{}, BC, {"dropout": 0.2}], ids=["plain", "bc", "dropout"])
def test_the_efficient_form_is_the_same_network(arguments: dict) -> None:
    def trained(efficient: bool) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        torch.manual_seed(0)
        model = DenseNet(22, 6, efficient=efficient, **arguments).double().train()
        x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
        for _ in range(2):
            out = model(x)
            out.square().sum().backward()
        gradients = {f"{n}.grad": p.grad for n, p in model.named_parameters()}
        return out, {**model.state_dict(), **gradients}  # type: ignore[dict-item]

    (out, state), (expected, reference) = trained(True), trained(False)
    assert torch.equal(out, expected)
    for name, value in reference.items():
        torch.testing.assert_close(state[name], value, msg=name)


@pytest.mark.parametrize(("arguments", "share"), [({}, 0.25), (BC, 0.6)], ids=["plain", "bc"])
def test_the_efficient_form_keeps_less(arguments: dict, share: float) -> None:
    def kept(efficient: bool) -> int:
        """Bytes that the forward pass keeps for the backward pass."""
        model, sizes = DenseNet(40, 12, efficient=efficient, **arguments).train(), {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            out = model(torch.randn(8, 3, 16, 16))
        assert out.requires_grad
        return sum(sizes.values())

    assert kept(True) < share * kept(False)


def test_dropout_follows_each_convolution_but_the_first() -> None:
    model = DenseNet(22, 6, dropout=0.2, **BC)  # type: ignore[arg-type]
    assert not any(isinstance(m, nn.Dropout) for m in model.stem.modules())
    seen = []
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(lambda m, i, o: seen.append(m.p))
    model.train()(torch.randn(2, 3, 8, 8))
    assert seen == [0.2] * (9 * 2 + 2)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"depth": 41}, "depth=41 is not 3n [+] 4; the nearest valid depth is 40"),
        (
            {"depth": 41, "bottleneck": True},
            "depth=41 is not 6n [+] 4; the nearest valid depth is 40",
        ),
        ({"growth": 0}, "growth=0 is below 1"),
        ({"compression": 0.0}, r"compression=0.0 is not in \(0, 1\]"),
        ({"compression": 1.5}, r"compression=1.5 is not in \(0, 1\]"),
        ({"dropout": 1.0}, r"dropout=1.0 is not in \[0, 1\)"),
        ({"classes": 1}, "classes=1"),
        ({"init": "xavier"}, "init='xavier'"),
        ({"images": "mnist"}, "images='mnist'"),
        ({"images": "imagenet", "bottleneck": True}, "depth=40 is not one of 121, 161"),
        ({"depth": 121, "images": "imagenet"}, "bottleneck=False"),
        (
            {"depth": 121, "images": "imagenet", "bottleneck": True},
            "compression=1 is not for the ImageNet",
        ),
        ({"growth": 1, "compression": 0.01}, "compression=0.01 keeps none of"),
    ],
)
def test_impossible_arguments_are_named(arguments: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        DenseNet(**({"depth": 40, "growth": 12} | arguments))
