"""Weights of other codes, and of other rows: read as what they are, or refused."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file as load_state
from safetensors.torch import save_file
from torch import Tensor, nn

from models.resnet import ResNet
from records.exits import BAD_CONFIG
from records.files import ROOT
from training.settings.settings import Settings
from training.weights.description import check_description, describe, description
from training.weights.export import ABOUT, WeightsError, export, load_weights, read_tensors

DEPTH = 74  # twelve units a stage: layer1.10 comes after layer1.9, whatever an alphabet says
SHIPPED = "results/weights/he2015_residual/table6/resnet20/cifar10_aug/seed0.safetensors"


class Block(nn.Module):
    """A unit as popular repositories write it."""

    def __init__(self, into: int, out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.stride, self.extra = stride, out - into

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        short = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))
        return F.relu(y + short)


class Peer(nn.Module):
    """ResNet on CIFAR as popular repositories name its parts, with our padding."""

    def __init__(self, depth: int):
        super().__init__()
        units, into = (depth - 2) // 6, 16
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        for stage, width in enumerate((16, 32, 64), 1):
            blocks = []
            for number in range(units):
                stride = 2 if stage > 1 and number == 0 else 1
                blocks.append(Block(into, width, stride))
                into = width
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))  # type: ignore[operator]
        return self.linear(x.mean((2, 3)))


@pytest.fixture(scope="module")
def peer() -> Peer:
    torch.manual_seed(0)
    made = Peer(DEPTH).eval()
    for layer in made.modules():  # so that every statistic counts
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.1)
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return made


def plain(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return state


def parallel(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.{name}": value for name, value in state.items()}


def by_kind(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """All weights first, then all biases, and so on, as a conversion may leave them."""
    kinds = ("weight", "bias", "running_var", "running_mean", "num_batches_tracked")
    return {name: v for kind in kinds for name, v in state.items() if name.endswith(kind)}


@pytest.mark.parametrize("order", [plain, parallel, by_kind], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "wrap", [None, "state_dict", "net", "model_state_dict", "model", "safetensors"]
)
def test_a_peers_weights_give_its_outputs(
    wrap: str | None, order: Callable, peer: Peer, tmp_path: Path
) -> None:
    state, path = order(peer.state_dict()), tmp_path / "weights.pt"
    if wrap == "safetensors":
        path = tmp_path / "weights.safetensors"
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    else:
        torch.save({wrap: state, "best": 92.1, "epoch": 3} if wrap else state, path)
    ours = ResNet(DEPTH).eval()
    assert not load_weights(ours, path), "the names are not ours"
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), peer(x), rtol=1e-4, atol=1e-4)


def test_safetensors_of_several_types_have_no_order(peer: Peer, tmp_path: Path) -> None:
    """They are sorted by type before they are by name."""
    path, state = tmp_path / "half.safetensors", peer.state_dict()
    save_file({n: v.half() if v.ndim == 4 else v.contiguous() for n, v in state.items()}, path)
    ours, x = ResNet(DEPTH).eval(), torch.randn(2, 3, 16, 16)
    load_weights(ours, path)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), peer(x), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("content", ["model: resnet\n", "", "\x80", "[1, 2]"])
@pytest.mark.parametrize("name", ["config.yaml", "weights.pt", "weights.safetensors"])
def test_files_that_hold_no_weights(name: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(WeightsError, match="is not a weights file"):
        load_weights(ResNet(20), path)


@pytest.mark.parametrize(
    "content", [{1: torch.zeros(1)}, [torch.zeros(1)], torch.zeros(1), 3, None]
)
def test_torch_files_that_hold_something_else(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match="is not a weights file"):
        load_weights(ResNet(20), tmp_path / "weights.pt")


def test_forty_foreign_files_are_read_right_or_refused(peer: Peer, tmp_path: Path) -> None:
    """Tensors lost, doubled, reshaped, renamed: never a network of other outputs."""
    rng, refused = random.Random(0), 0  # noqa: S311
    x, path = torch.randn(2, 3, 16, 16), tmp_path / "weights.pt"
    with torch.no_grad():
        expected = peer(x)
    for number in range(40):
        state = dict(peer.state_dict())
        name = rng.choice([n for n in state if "batches" not in n])
        change = number % 5
        if change == 0:
            del state[name]
        elif change == 1:
            state[f"{name}_copy"] = state[name]
        elif change == 2:
            state[name] = state[name].repeat(2, *[1] * (state[name].ndim - 1))
        elif change == 3:
            prefix = rng.choice(["model", "backbone", "0"])
            state = {f"{prefix}.{n}": v for n, v in state.items()}
        else:
            state = {n.replace("layer", "stage").replace("bn", "norm"): v for n, v in state.items()}
        torch.save(state, path)
        ours = ResNet(DEPTH).eval()
        try:
            load_weights(ours, path)
        except WeightsError as error:
            assert str(error).count("\n") < 3
            refused += 1
            continue
        with torch.no_grad():
            torch.testing.assert_close(ours(x), expected, rtol=1e-4, atol=1e-4)
    assert refused == 24


@pytest.mark.parametrize(
    "change",
    [
        lambda v: (100 * v).to(torch.int8), lambda v: v.long(), lambda v: v > 0, lambda v: v * 1j,
        lambda v: v.to(torch.float8_e4m3fn), lambda v: v.to_sparse(), lambda v: v.to("meta"),
        lambda v: torch.quantize_per_tensor(v, 0.1, 0, torch.qint8),
        lambda v: torch.zeros(1, dtype=torch.float16).expand(10**13),
    ],
)  # fmt: skip
@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_tensors_that_are_no_weights_are_refused(
    change: Callable[[Tensor], Tensor], prefix: str, tmp_path: Path
) -> None:
    """Read as numbers they would give another network, or take all memory."""
    path, state = tmp_path / "weights.pt", ResNet(8).state_dict()
    state["stem.conv1.weight"] = change(state["stem.conv1.weight"])
    torch.save({prefix + name: value for name, value in state.items()}, path)
    with pytest.raises(WeightsError, match="where weights are float16, bfloat16, float32"):
        load_weights(ResNet(8), path)


def test_weights_with_and_without_a_prefix_are_refused(tmp_path: Path) -> None:
    state = ResNet(8).state_dict()
    torch.save({**state, **{f"module.{n}": 0 * v for n, v in state.items()}}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="holds weights twice"):
        load_weights(ResNet(8), tmp_path / "w.pt")


def test_a_file_says_what_it_is_of(tmp_path: Path, settings_of: Callable[..., Settings]) -> None:
    row = "he2015_residual/table6/resnet20"
    own, path = settings_of(f"experiment={row}"), tmp_path / "weights.safetensors"
    export(ResNet(20).state_dict(), path, describe(own, row))
    stated = description(path)
    assert stated == describe(own, row) and stated["experiment"] == row
    again = tmp_path / "again.safetensors"
    for _ in range(5):  # the same bytes, by which a record knows its weights
        model = ResNet(20)
        model.load_state_dict(load_state(path), strict=False)
        export(model.state_dict(), again, describe(own, row))
        assert again.read_bytes() == path.read_bytes()
    check_description(path, stated, own)
    check_description(
        path, stated, settings_of(f"experiment={row}", "recipe.length=70_000", "seed=3")
    )
    for other, differing in (
        (["experiment=he2015_residual/fig6/plain20"], "model.shortcut=default"),
        ([f"experiment={row}", "model.order=full_preact"], "model.order=default"),
        ([f"experiment={row}", "data=cifar100_aug"], "model.classes="),
        (
            [f"experiment={row}", "data=own", "data.name=mine", "data.classes=10", "data.size=32"],
            "data.source=mine",
        ),
        ([f"experiment={row}", "recipe=fair"], "recipe.mean=pixel"),
        ([f"experiment={row}", "recipe.prepare=gcn"], "recipe.prepare=default"),
        ([f"experiment={row}", "recipe.std=channel"], f"recipe.std={own.recipe.std}"),
    ):
        with pytest.raises(WeightsError, match=f"weights of {row} on cifar10, .*{differing}"):
            check_description(path, stated, settings_of(*other))
    for damaged in ("{", "[1]", "null", "[" * 100_000, '{"a": "\\ud800"}'):
        with pytest.raises(WeightsError, match="differs") as error:
            check_description(path, stated | {"model": damaged, "experiment": "\x1b[2J"}, own)
        assert str(error.value).count("\n") < 3 and "\x1b" not in str(error.value)
    check_description(path, {}, settings_of("experiment=he2015_residual/fig6/plain20"))
    save_file({"x": torch.ones(1)}, path, metadata={ABOUT: "{"})
    with pytest.raises(WeightsError, match="description=damaged"):
        check_description(path, description(path), own)


def test_shipped_weights_are_known_by_their_record(command: Callable) -> None:
    weights = f"weights={ROOT / SHIPPED}"
    ended = command("eval.py", "experiment=he2015_residual/fig6/plain20", weights)
    assert ended.code == BAD_CONFIG, ended.err
    assert "holds weights of he2015_residual/table6/resnet20" in ended.err
    for arguments in (["experiment=he2015_residual/table6/resnet20"],
                 ["experiment=he2015_residual/fig6/plain20", "force=true"]):  # fmt: skip
        ended = command("eval.py", *arguments, weights)
        assert "holds weights of" not in ended.err  # the data are missing


def test_a_checkpoint_with_averaged_weights_is_read_as_evaluated(tmp_path: Path) -> None:
    model = {"weight": torch.zeros(2), "counter": torch.ones(1)}
    average = {"weight": torch.full((2,), 3.0), "updates": torch.tensor(5.0)}
    trainer = {"iteration": 5, "model": model, "average": average}
    torch.save({"science": {}, "state": {"trainer": trainer}}, tmp_path / "checkpoint.pt")
    found = read_tensors(tmp_path / "checkpoint.pt")
    assert found.keys() == model.keys()
    assert found["weight"].tolist() == [3, 3] and found["counter"].tolist() == [1]
