"""Residual units against units written out by hand from the papers' figures, and limits of them."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.residual import ORDERS, ResidualUnit
from models.resnet import ResNet
from models.shortcuts import ShortcutRule
from models.stochastic_depth import StochasticDepth, survival_probabilities

W_IN, W_OUT = 8, 16
X = torch.randn(4, W_IN, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def unit(**arguments: object) -> ResidualUnit:
    torch.manual_seed(1)
    made = ResidualUnit(W_IN, W_OUT, 2, **arguments).double()  # type: ignore[arg-type]
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.5, 0.5)
    return made


def padded(x: Tensor) -> Tensor:
    """Option A: every second pixel, zeros for the new channels."""
    x = x[:, :, ::2, ::2]
    return torch.cat([x, x.new_zeros(len(x), W_OUT - W_IN, *x.shape[2:])], 1)


def by_hand(order: str) -> Callable[[ResidualUnit, Tensor], Tensor]:
    """He et al. 2016, Fig. 4, (a) to (e)."""

    def bn(layer: nn.Module, x: Tensor) -> Tensor:
        mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
        scale, shift = layer.weight.view(1, -1, 1, 1), layer.bias.view(1, -1, 1, 1)  # type: ignore[operator, union-attr]
        return (x - mean) / (var + 1e-5).sqrt() * scale + shift

    def forward(u: ResidualUnit, x: Tensor) -> Tensor:
        b = u.branch

        def conv1(x: Tensor) -> Tensor:
            return F.conv2d(x, b.conv1.weight, stride=2, padding=1)  # type: ignore[arg-type, union-attr]

        def conv2(x: Tensor) -> Tensor:
            return F.conv2d(x, b.conv2.weight, padding=1)  # type: ignore[arg-type, union-attr]

        if order == "original":
            y = bn(b.norm2, conv2(bn(b.norm1, conv1(x)).relu()))  # type: ignore[arg-type]
            return (padded(x) + y).relu()
        if order == "bn_after_add":
            y = conv2(bn(b.norm1, conv1(x)).relu())  # type: ignore[arg-type]
            return bn(u.after.norm1, padded(x) + y).relu()
        if order == "relu_before_add":
            return padded(x) + bn(b.norm2, conv2(bn(b.norm1, conv1(x)).relu())).relu()  # type: ignore[arg-type]
        if order == "relu_preact":
            return padded(x) + bn(b.norm2, conv2(bn(b.norm1, conv1(x.relu())).relu()))  # type: ignore[arg-type]
        return padded(x) + conv2(bn(b.norm2, conv1(bn(b.norm1, x).relu())).relu())  # type: ignore[arg-type]

    return forward


def assert_same(made: nn.Module, found: Tensor, x: Tensor, expected: Tensor, x2: Tensor) -> None:
    """Outputs and gradients (of the input and of every parameter) agree."""
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(expected)
    parameters = list(made.parameters())
    first = torch.autograd.grad((found * weights).sum(), [x, *parameters], materialize_grads=True)
    second = torch.autograd.grad(
        (expected * weights).sum(), [x2, *parameters], materialize_grads=True
    )
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("order", ORDERS)
def test_orders_are_those_of_fig_4(order: str) -> None:
    made = unit(order=order)
    x, x2 = X.clone().requires_grad_(), X.clone().requires_grad_()
    assert_same(made, made(x.clone()), x, by_hand(order)(made, x2), x2)
    # Nothing in the unit may write into what others hold as well.
    held = X.clone()
    made(held)
    assert torch.equal(held, X)


def test_a_shared_activation_feeds_branch_and_shortcut() -> None:
    shared, own = unit(order="full_preact", lead="shared"), unit(order="full_preact", lead="none")
    own.load_state_dict({k: v for k, v in shared.state_dict().items() if "shared" not in k})
    activated = shared.shared(X)
    torch.testing.assert_close(shared(X), own(activated))
    assert torch.equal(activated, own.shared(activated))


@pytest.mark.parametrize("kind", ["exclusive_gate", "shortcut_gate"])
def test_gates_are_those_of_section_3(kind: str) -> None:
    made = unit(shortcut=ShortcutRule(kind, gate_bias=-1.5))
    gate = made.shortcut.gate.conv  # type: ignore[union-attr]
    assert torch.equal(gate.bias, torch.full((W_OUT,), -1.5, dtype=torch.float64))  # type: ignore[union-attr, arg-type]
    x, x2 = X.clone().requires_grad_(), X.clone().requires_grad_()
    g = torch.sigmoid(F.conv2d(x2, gate.weight, gate.bias, stride=2))  # type: ignore[union-attr, arg-type]
    fx = made.branch(x2)
    joined = (1 - g) * padded(x2) + (g * fx if kind == "exclusive_gate" else fx)
    assert_same(made, made(x), x, joined.relu(), x2)


@pytest.mark.parametrize(
    ("rule", "limit"),
    [
        # With b to minus infinity g is 0: exclusive gating loses F, shortcut-only becomes x + F.
        (ShortcutRule("exclusive_gate", gate_bias=-1e6), lambda x, fx: padded(x)),
        (ShortcutRule("shortcut_gate", gate_bias=-1e6), lambda x, fx: padded(x) + fx),
        (ShortcutRule("exclusive_gate", gate_bias=1e6), lambda x, fx: fx),
        (ShortcutRule("scale", scale_shortcut=0.0), lambda x, fx: fx),
        (ShortcutRule("scale", scale_shortcut=0.5, scale_branch=0.5),
         lambda x, fx: (padded(x) + fx) / 2),
        (ShortcutRule("dropout", dropout=0.0), lambda x, fx: padded(x) + fx),
        (ShortcutRule("none"), lambda x, fx: fx),
    ],
)  # fmt: skip
def test_shortcuts_and_their_limits(
    rule: ShortcutRule, limit: Callable[[Tensor, Tensor], Tensor]
) -> None:
    made = unit(shortcut=rule)
    x, x2 = X.clone().requires_grad_(), X.clone().requires_grad_()
    assert_same(made, made(x), x, limit(x2, made.branch(x2)).relu(), x2)


def test_scaling_0_1_trains_as_the_plain_network() -> None:
    torch.manual_seed(0)
    scaled = ResNet(14, shortcut="scale", scale_shortcut=0.0, scale_branch=1.0)
    torch.manual_seed(0)
    plain = ResNet(14, shortcut="none")
    x = torch.randn(4, 3, 16, 16)
    for model in (scaled, plain):
        model(x).square().sum().backward()
    for a, b in zip(scaled.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)  # type: ignore[arg-type]


def test_half_of_a_dropout_shortcut_is_gone_and_the_rest_doubled() -> None:
    made = unit(shortcut=ShortcutRule("dropout", dropout=0.5), order="full_preact")
    carried = made(X) - made.branch(X)
    ratio = (carried / padded(X))[:, :W_IN]
    assert torch.all(torch.isclose(ratio, torch.tensor(2.0).double()) | (ratio.abs() < 1e-6))
    assert (ratio > 1).double().mean() == pytest.approx(0.5, abs=0.07)
    made.eval()
    torch.testing.assert_close(made(X) - made.branch(X), padded(X))


def test_pooling_averages_and_projections_project() -> None:
    pooled = ShortcutRule(match="pool").build_match(W_IN, W_OUT, 2)
    x = X[:, :, :8, :8]
    windows = x.unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2))
    torch.testing.assert_close(pooled(x)[:, :W_IN], windows)
    assert not pooled(x)[:, W_IN:].any()
    # Of an odd size, the last window has one row or column, as the branch's convolution has.
    assert pooled(x[:, :, :7, :7]).shape[2:] == (4, 4)
    torch.testing.assert_close(pooled(x[:, :, :7, :7])[:, :W_IN, 3, 3], x[:, :, 6, 6])
    assert isinstance(ShortcutRule(match="project").build_match(16, 16, 1), nn.Identity)
    assert not isinstance(ShortcutRule(match="project_all").build_match(16, 16, 1), nn.Identity)
    plain = ShortcutRule(match="project", projection_norm=False).build_match(W_IN, W_OUT, 2)
    found = plain.double()(X)
    torch.testing.assert_close(found, F.conv2d(X, plain.weight, stride=2))  # type: ignore[arg-type]


def test_survival_falls_linearly_to_its_last() -> None:
    """Huang et al. 2016, eq. 4; with p_L = 0.5 three quarters of the units survive on average."""
    found = survival_probabilities(54, 0.5, "linear")
    assert found[0] == pytest.approx(1 - 1 / 54 * 0.5) and found[-1] == 0.5
    assert sum(found) == pytest.approx((3 * 54 - 1) / 4)
    assert survival_probabilities(3, 0.7, "uniform") == [0.7] * 3


def test_a_branch_that_always_survives_is_the_branch() -> None:
    made = unit()
    wrapped = StochasticDepth(made.branch, 1.0)
    x, x2 = X.clone().requires_grad_(), X.clone().requires_grad_()
    assert_same(made, wrapped(x), x, made.branch(x2), x2)
    made.eval()
    torch.testing.assert_close(wrapped(X), made.branch(X))


def test_survival_1_is_the_plain_residual_network() -> None:
    assert not any(isinstance(m, StochasticDepth) for m in ResNet(20, survival=1.0).modules())
    # 0.5 for the last unit alone leaves the others' probabilities between.
    drops = [m.survival for m in ResNet(20, survival=0.5).modules()
             if isinstance(m, StochasticDepth)]  # fmt: skip
    assert drops == pytest.approx([1 - k / 9 * 0.5 for k in range(1, 10)])


def test_a_branch_survives_whole_batches_with_its_probability() -> None:
    torch.manual_seed(0)
    branch = StochasticDepth(nn.Sequential(nn.BatchNorm2d(W_IN).double()), 0.3)
    before = branch.branch[0].running_mean.clone()  # type: ignore[index, union-attr]
    expected = nn.BatchNorm2d(W_IN).double()(X)
    survived = 0
    for _ in range(1000):
        out = branch(X)
        if out.any():
            torch.testing.assert_close(out, expected)
            survived += 1
        elif not survived:
            assert torch.equal(branch.branch[0].running_mean, before)  # type: ignore[index]
    assert survived / 1000 == pytest.approx(0.3, abs=0.05)
    assert branch.branch[0].num_batches_tracked == survived, "a skipped branch is not computed"  # type: ignore[index]
    branch.eval()
    torch.testing.assert_close(branch(X), 0.3 * branch.branch(X))


def test_gates_and_scales_start_where_they_should() -> None:
    torch.manual_seed(0)
    made = ResNet(8, shortcut="exclusive_gate", gate_bias=-6.0, bias=True, norm_init="uniform")
    for name, parameter in made.named_parameters():
        if "gate.conv.bias" in name:
            assert torch.all(parameter == -6.0)
        elif name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name:
            assert parameter.min() > 0 and parameter.max() < 1 and parameter.std() > 0.2
    normed = ResNet(8, shortcut="exclusive_gate", gate_bias=-6.0, gate_norm=True)
    gates = [m for n, m in normed.named_modules() if n.endswith("gate.norm")]
    assert len(gates) == 3 and all(torch.all(gate.bias == -6.0) for gate in gates)  # type: ignore[arg-type]


def normed(layer: nn.Module, x: Tensor) -> Tensor:
    """Batch normalisation of a batch, then ReLU."""
    return F.batch_norm(x, None, None, layer.weight, layer.bias, training=True).relu()  # type: ignore[arg-type]


def test_a_pre_activation_bottleneck_network_written_out() -> None:
    """He et al. 2016, Section 4 and appendix: ResNet-29 of bottlenecks with projections."""
    torch.manual_seed(0)
    net = ResNet(29, unit="bottleneck", match="project", order="full_preact",
                 projection_norm=False).double()  # fmt: skip
    x = torch.randn(4, 3, 12, 12, dtype=torch.float64)
    y = normed(net.stem.norm1, F.conv2d(x, net.stem.conv1.weight, padding=1))  # type: ignore[arg-type, union-attr]
    for number, stage in enumerate(net.stages):
        for position, unit in enumerate(stage):  # type: ignore[arg-type, var-annotated]
            b, stride = unit.branch, 2 if number and not position else 1
            if position == 0:  # x is activated before the split: by the stem, or by the unit
                y = y if number == 0 else normed(unit.shared.norm1, y)
                carried = F.conv2d(y, unit.shortcut.match.weight, stride=stride)
                inner, norms = y, [b.norm1, b.norm2]
            else:
                carried, inner, norms = y, normed(b.norm1, y), [b.norm2, b.norm3]
            inner = normed(norms[0], F.conv2d(inner, b.conv1.weight, stride=stride))
            inner = normed(norms[1], F.conv2d(inner, b.conv2.weight, padding=1))
            y = carried + F.conv2d(inner, b.conv3.weight)
    y = normed(net.activation.norm1, y)  # type: ignore[arg-type]
    expected = net.classifier(y.mean((2, 3)))
    found, again = net(x), torch.randn_like(expected)
    torch.testing.assert_close(found, expected)
    parameters = list(net.parameters())
    first = torch.autograd.grad((found * again).sum(), parameters)
    second = torch.autograd.grad((expected * again).sum(), parameters)
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b)


def test_one_layer_skips_written_out() -> None:
    made = unit(unit="single")
    y = F.conv2d(X, made.branch.conv1.weight, stride=2, padding=1)  # type: ignore[arg-type, union-attr]
    norm1 = made.branch.norm1
    y = F.batch_norm(y, None, None, norm1.weight, norm1.bias, training=True)  # type: ignore[arg-type, union-attr]
    torch.testing.assert_close(made(X), (padded(X) + y).relu())


def test_the_stride_of_a_bottleneck_moves() -> None:
    strides = {
        place: [conv.stride[0] for conv in unit(unit="bottleneck", stride_on=place).modules()
                if isinstance(conv, nn.Conv2d)]
        for place in ("1x1", "3x3")
    }  # fmt: skip
    assert strides == {"1x1": [2, 1, 1], "3x3": [1, 2, 1]}


def test_only_the_first_unit_shares_its_activation_in_the_papers_words() -> None:
    leads = [len(u.shared) for stage in ResNet(14, order="full_preact", share_preact="first").stages
             for u in stage]  # type: ignore[arg-type, union-attr]  # fmt: skip
    assert not any(leads)  # the stem activates for the very first one
    shared = [len(u.shared) for stage in ResNet(14, order="full_preact").stages
              for u in stage]  # type: ignore[arg-type, union-attr]  # fmt: skip
    assert shared == [0, 0, 2, 0, 2, 0]
