"""What the tests share: settings from overrides, real data where it is at hand."""

import gc
import hashlib
import multiprocessing
import os
import pickle
import runpy
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck
from hypothesis import settings as examples
from PIL import Image
from torch import Tensor, nn

if not torch.cuda.is_available():
    # Kernels run in Triton's interpreter, on the CPU; it has to know before it is imported.
    os.environ["TRITON_INTERPRET"] = "1"

from data.arrays.imageset import ImageSet
from data.sets import load
from records.files import written_whole
from training.settings.config import CONF, composed
from training.settings.settings import Settings

torch.set_num_threads(1)  # tests run side by side
# Composing a row makes 100,000 small objects: collecting less often saves a third of its time.
gc.set_threshold(100_000, 20, 20)
# How many cases a test makes that makes them by itself; `make test-all` takes the second profile.
examples.register_profile(
    "fast", max_examples=100, derandomize=True, database=None, deadline=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
examples.register_profile("all", examples.get_profile("fast"), max_examples=2_000)
examples.load_profile("fast")
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would every process that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROW = "he2015_residual/table6/resnet20"
# A run of a second or two: the smoke preset with a shallow network.
TINY = [
    f"experiment={ROW}",
    "preset=smoke",
    "device=cpu",
    "threads=1",
    "model.depth=8",
    "recipe.length=30",
    "recipe.milestones=[12,18]",
]


@pytest.fixture(scope="session")
def settings_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Settings]:
    """Settings as `train.py` would read them from these overrides.

    A row on the set that is its own anyway is the row by itself, as test_configs.py shows.
    """
    shared = tmp_path_factory.getbasetemp().parent / "settings"  # of the processes of one test run

    @cache  # many tests ask for the same rows, and composing one takes a tenth of a second
    def read(folders: tuple[str | None, ...], *overrides: str) -> Settings:
        digest = hashlib.sha256(repr((folders, overrides)).encode()).hexdigest()
        path = shared / os.environ.get("PYTEST_XDIST_TESTRUNUID", "alone") / digest
        if path.exists() and path.parent.name != "alone":
            found: Settings = pickle.loads(path.read_bytes())  # noqa: S301
            return found
        settings = composed(*overrides)
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            pickle.dump(settings, file)
        return settings

    def asked(*overrides: str) -> Settings:
        # What a test sets in the environment must not reach another one.
        folders = tuple(map(os.environ.get, ("DATA_DIR", "OUTPUT_DIR", "RESULTS_DIR")))
        if [word.partition("=")[0] for word in overrides] == ["experiment", "data"]:
            own = read(folders, overrides[0])
            if overrides[1] == f"data={own.data.name}":
                return own
        return read(folders, *overrides)

    return asked


@pytest.fixture
def tiny(settings_of: Callable[..., Settings], tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a run of a second or two that writes below `tmp_path`."""

    def read(*overrides: str) -> Settings:
        folders = [f"output_dir={tmp_path}/outputs", f"results_dir={tmp_path}/results"]
        return settings_of(*TINY, *folders, *overrides)

    return read


@pytest.fixture(scope="session")
def digits() -> ImageSet:
    return load("digits", Path())


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int | None
    out: str
    err: str


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., Ended]:
    """Run train.py or eval.py below `tmp_path`, as `forked` does."""
    return partial(forked, tmp_path)


def forked(
    folder: Path,
    script: str,
    *arguments: str,
    before: Callable[[], object] | None = None,
    **environment: str,
) -> Ended:
    """Run train.py or eval.py in a process forked from one that has imported torch already.

    It starts in an empty folder, writes to `folder`/{outputs,results} unless the environment
    given says otherwise, and cannot reach a network. `before` is called in the process first.
    """
    place = folder / "cwd"
    return ended(begun(folder, place, script, *arguments, before=before, **environment), place)


def begun(
    folder: Path,
    place: Path,
    script: str,
    *arguments: str,
    before: Callable[[], object] | None = None,
    **environment: str,
) -> BaseProcess:
    """The process of `forked`, which starts in `place` and leaves there what it prints."""
    place.mkdir(exist_ok=True)
    defaults = {
        "OUTPUT_DIR": str(folder / "outputs"),
        "RESULTS_DIR": str(folder / "results"),
        "DATA_DIR": str(folder / "data"),
    }
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.forked"])
    body = (script, arguments, defaults | environment, place, before)
    process = context.Process(target=_command, args=body)
    process.start()
    return process


def ended(process: BaseProcess, place: Path, seconds: float = 300) -> Ended:
    """Wait for a process of `begun`; one that takes longer has no exit code."""
    process.join(seconds)
    code = process.exitcode
    process.kill()
    out, err = ((place / name).read_text() for name in ("out", "err"))
    return Ended(code, out, err)


def _command(
    script: str,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    folder: Path,
    before: Callable[[], object] | None,
) -> None:
    """The body of a command's process."""
    os.environ.update(environment, http_proxy="127.0.0.1:9", https_proxy="127.0.0.1:9")
    os.environ.pop("WANDB_SERVICE", None)  # of another test in this process
    os.chdir(folder)
    for number, name in ((1, "out"), (2, "err")):
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    sys.argv = [script, *arguments]
    try:
        if before is not None:
            before()
        runpy.run_path(str(CONF.parent / script), run_name="__main__")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def save_tree(folder: Path, picture: Callable[[int, int], Image.Image], count: int) -> None:
    """A set of photographs: `count` JPEG files, by class and number, in each of two classes in
    both splits of a folder."""
    for split in ("train", "val"):
        for label in range(2):
            (folder / split / f"n{label}").mkdir(parents=True)
            for number in range(count):
                picture(label, number).save(folder / split / f"n{label}/{number}.JPEG", "JPEG")


def real(name: str) -> Path:
    """The folder of a real data set; skips the test where there is none."""
    folder = Path(os.environ.get("DATA_DIR", "datasets"))
    if not (folder / f"{name}.npz").exists():
        pytest.skip(f"no {name}.npz in {folder}; set DATA_DIR")
    return folder


@pytest.fixture(scope="session")
def cifar10() -> ImageSet:
    return load("cifar10", real("cifar10"))


@pytest.fixture(scope="session")
def cifar100_file() -> Path:
    return real("cifar100") / "cifar100.npz"


def assert_computes(model: nn.Module, written_out: Callable[..., Tensor], *how: object) -> None:
    """A network gives the logits, and all its parameters the gradients, of a forward pass that is
    written out.

    Args:
        model: in double precision and evaluation mode.
        written_out: of images, the network's weights by name, and `how`.
    """
    weights = {k: v.clone().requires_grad_() for k, v in model.state_dict().items()}
    x, labels = torch.randn(3, 3, 16, 16, dtype=torch.float64), torch.tensor([1, 4, 7])
    expected, logits = written_out(x, weights, *how), model(x)
    torch.testing.assert_close(logits, expected)
    F.cross_entropy(expected, labels).backward()
    F.cross_entropy(logits, labels).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, weights[name].grad)
        assert parameter.grad is not None and parameter.grad.any(), name
