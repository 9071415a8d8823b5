"""A student and its teacher: what each phase teaches, by which rule, and that a run goes on."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data.arrays.imageset import ImageSet
from models.fitnet import FitNet
from models.maxout import MaxoutNetwork
from records.schema import mistake
from tests.emulated import Emulated
from tests.training.runs.test_resume import kill_at
from training.recipe.objective import hints, softened
from training.recipe.schedules import total_iterations
from training.runs.named import NamedRun
from training.runs.summary import summarise
from training.settings.identity import teacher_hash
from training.settings.settings import Settings
from training.settings.types import ConfigError
from training.trainer import Trainer
from training.weights.description import describe
from training.weights.export import export

CPU = torch.device("cpu")
ROW = "experiment=romero2015_fitnet/table1/fitnet19"
TEACHER_ROW = "experiment=goodfellow2013_maxout/table3/maxout"
TEACHER = ["model.layers=8x6p4 m4 8x8p3 m4 5x8p3 m2", "model.hidden=9", "model.bound=0.3",
           "recipe.max_norms=[]"]  # fmt: skip
STUDENT = ["model.layers=3x4p1 m2 3x6p1 m2 3x5p1 g", "model.hidden=7", "model.bound=0.3",
           "model.hint=8", "recipe.max_norms=[]"]  # fmt: skip
TWELVE = ["recipe.length=12", "recipe.milestones=[]", "recipe.auxiliary_length=10"]
SHORT = ["preset=smoke", "device=cpu", "threads=1", "recipe.batch=16", "recipe.prepare=gcn"]


@pytest.fixture
def teach(settings_of: Callable[..., Settings], tmp_path: Path) -> Callable[[int], Path]:
    """Writes the file of a teacher."""

    def write(seed: int) -> Path:
        taught = settings_of(TEACHER_ROW, *SHORT, *TEACHER)
        torch.manual_seed(seed)
        teacher = MaxoutNetwork(**{k: v for k, v in taught.model.items() if k != "_target_"})
        export(teacher.state_dict(), tmp_path / "teacher.safetensors", describe(taught, "teacher"))
        return tmp_path / "teacher.safetensors"

    return write


@pytest.fixture
def settings(settings_of: Callable[..., Settings], teach: Callable[[int], Path]) -> Settings:
    """A student of twelve iterations."""
    file = f"recipe.teacher={teach(1)}"
    return settings_of(ROW, *SHORT, *STUDENT, *TWELVE, file)


@pytest.mark.parametrize(("row", "epochs"), [(ROW, 2 * 288), (TEACHER_ROW, 474)])
def test_short_batches_are_left_out(
    row: str, epochs: int, settings_of: Callable[..., Settings]
) -> None:
    """Their even_shuffled_sequential: 390 batches of 128 of the 50,000 images."""
    settings = settings_of(row)
    size = settings.recipe.epoch_size(50_000)
    assert total_iterations(settings.recipe, size) == epochs * 390


def changed(trainer: Trainer, count: int) -> set[str]:
    """Parameters that some iterations change."""
    before = {name: tensor.clone() for name, tensor in trainer.optimizer.master.items()}
    for _ in range(count):
        trainer.train_iteration()
    after = trainer.optimizer.master
    return {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}


def test_each_phase_changes_only_what_it_teaches(settings: Settings, digits: ImageSet) -> None:
    trainer = Trainer(settings, digits, CPU)
    assert isinstance(trainer.model, FitNet)
    teacher = deepcopy(trainer.model.teachers[0].state_dict())
    guided = {n for n in trainer.optimizer.master if n.startswith(("student.layers.0",
                                                                  "student.layers.2"))}  # fmt: skip
    regressor = {n for n in trainer.optimizer.master if n.startswith("heads.0")}
    trainer.begin_segment()
    assert changed(trainer, 6) == guided | regressor
    assert changed(trainer, 6) == set(trainer.optimizer.master) - regressor
    for name, tensor in trainer.model.teachers[0].state_dict().items():
        assert torch.equal(tensor, teacher[name]), name


def test_updates_are_those_of_a_plain_loop(settings: Settings, digits: ImageSet) -> None:
    """Both phases written out: losses, RMSProp with pylearn2's bound, the fall of lambda."""
    trainers = [Trainer(settings, digits, CPU, graphs=g) for g in (None, Emulated())]
    plain, batches = deepcopy(trainers[0].model).train(), deepcopy(trainers[0].batches)
    batches.begin(0, 12)
    squares = {name: torch.zeros_like(p) for name, p in plain.named_parameters()}
    for trainer in trainers:
        trainer.begin_segment()
    for iteration in range(12):
        for trainer in trainers:
            trainer.train_iteration()
        x, y = batches.next(16)
        plain.zero_grad()
        logits, regressed, taught, hint = plain(x)
        if iteration < 6:
            n, channels, _, columns = hint.shape
            loss = ((regressed - hint) ** 2).sum() / (2 * n * channels * columns)
        else:
            teaching, said = (taught / 3).exp(), (logits / 3).exp()
            teaching = teaching / teaching.sum(1, keepdim=True)
            said = said / said.sum(1, keepdim=True)
            weight = 4 - 3 * (iteration - 6) / 10
            loss = F.cross_entropy(logits, y) - weight * (teaching * said.log()).sum(1).mean()
        loss.backward()
        with torch.no_grad():
            for name, p in plain.named_parameters():
                if iteration == 6:
                    squares[name].zero_()
                gradient = torch.zeros_like(p) if p.grad is None else p.grad
                squares[name] = 0.9 * squares[name] + 0.1 * gradient**2
                # In the code only the student's convolutions have a factor, not the regressor.
                scale = 0.05 if "layers" in name else 1
                p.sub_(0.005 * scale * gradient / squares[name].sqrt().clamp(min=1e-5))
        for trainer in trainers:
            for name, p in plain.named_parameters():
                found = trainer.optimizer.master[name]
                torch.testing.assert_close(
                    found, p.detach(), rtol=1e-3, atol=1e-5, msg=f"{iteration} {name}"
                )


def test_a_student_that_says_what_its_teacher_says_learns_nothing_from_it() -> None:
    torch.manual_seed(0)
    taught = 5 * torch.randn(6, 10)

    def gradient(said: Tensor) -> Tensor:
        logits = said.clone().requires_grad_()
        return torch.autograd.grad(softened(logits, taught), logits)[0]

    assert float(gradient(taught).abs().max()) < 1e-7
    assert float(gradient(taught + torch.randn(6, 10)).abs().max()) > 1e-3
    hint = torch.randn(2, 3, 4, 5, requires_grad=True)
    loss, _ = hints((taught, hint, taught, hint.detach()), torch.tensor([0, 1]))
    assert not torch.autograd.grad(loss, hint)[0].any()


@pytest.mark.slow
def test_killed_in_each_phase_it_ends_with_the_same_bits_and_follows_one_teacher_only(
    command: Callable, teach: Callable[[int], Path], tmp_path: Path
) -> None:
    arguments = [ROW, *SHORT, *STUDENT, *TWELVE, "checkpoint_seconds=0"]
    ended = command("train.py", *arguments)
    assert ended.code == 2 and "weights.safetensors is missing; train it first" in ended.err
    arguments.append(f"recipe.teacher={teach(1)}")
    weights = []
    for folder, kills in (("whole", 0), ("killed", 2)):
        outputs = str(tmp_path / folder)
        for _ in range(kills):  # in its fifth iteration, then in the ninth or so
            die = partial(kill_at, "step", 5)
            assert command("train.py", *arguments, OUTPUT_DIR=outputs, before=die).code == -9
        if kills:
            newest = max(Path(outputs).rglob("checkpoint-*.pt")).name
            assert 6 < int(newest.split("-")[1]) < 12
            teach(2)
            ended = command("train.py", *arguments, OUTPUT_DIR=outputs)
            assert ended.code == 2 and "teacher was" in ended.err, ended.err
            teach(1)
        assert command("train.py", *arguments, OUTPUT_DIR=outputs).code == 0
        (found,) = Path(outputs).rglob("weights.safetensors")
        weights.append(found.read_bytes())
    assert weights[0] == weights[1]
    teach(2)
    ended = command("train.py", *arguments, OUTPUT_DIR=str(tmp_path / "whole"))
    assert ended.code == 2 and "finished run with another teacher" in ended.err, ended.err


def test_its_record_says_who_taught_and_is_read(settings: Settings, digits: ImageSet) -> None:
    trainer = Trainer(settings, digits, CPU)
    trainer.begin_segment()
    trainer.train_iteration()
    row = dict.fromkeys(("train_loss", "train_error", "test_loss", "test_error"), 50.0)
    summary = summarise(settings, trainer, rows=[row], seconds=1.0, code=["a"], devices=["c"])
    row_name = ROW.partition("=")[2]
    known = NamedRun(settings, row_name, f"{row_name}/digits/seed0").known()
    assert known["teacher"] == teacher_hash(settings)
    assert mistake({"status": "finished", "version": 1, "data": "b", **known, **summary}) is None


def test_no_other_network_is_a_teacher(
    settings: Settings, digits: ImageSet, tmp_path: Path
) -> None:
    about = {"model": '{"_target_": "models.resnet.ResNet", "depth": 8}'}
    export(nn.Linear(2, 2).state_dict(), tmp_path / "other.safetensors", about)
    for file, message in (("other", "is not a Maxout network"), ("none", "is missing; train it")):
        recipe = replace(settings.recipe, teacher=str(tmp_path / f"{file}.safetensors"))
        with pytest.raises(ConfigError, match=message):
            Trainer(replace(settings, recipe=recipe), digits, CPU)
    hundred = replace(settings, data=replace(settings.data, classes=100),
                      model=settings.model | {"classes": 100})  # fmt: skip
    images = replace(digits, classes=tuple(map(str, range(100))))
    with pytest.raises(ConfigError, match="is for 10 classes and 16 pixels, not for 100 and 16"):
        Trainer(hundred, images, CPU)
