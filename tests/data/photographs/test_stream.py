"""Batches from a folder tree: every image once an epoch, the same however they are fetched."""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from data.order import DataError, derived_seed
from data.photographs import photographs
from data.photographs import stream as module
from data.photographs.colour import Recolour, draw
from data.photographs.photographs import decode, training_view
from data.photographs.stream import Stream, decode_all
from training.settings.settings import Settings
from training.trainer import Trainer

SIZE, IMAGES, BATCH = 64, 22, 4
ROW = "experiment=he2015_residual/table2/resnet18"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of eleven images in each of two classes, all of one colour each, in `made`."""
    root = tmp_path_factory.mktemp("tree")
    for split in ("train", "val"):
        for label in range(2):
            (root / "made" / split / f"n0{label}").mkdir(parents=True)
            for number in range(11):
                colour = (10 * number, 100 * label, 50 if split == "train" else 200)
                image = Image.new("RGB", (70 + number, 90 - number), colour)
                image.save(root / "made" / split / f"n0{label}" / f"{number}.png")
    return root


@pytest.fixture
def stream(folder: Path) -> Iterator[Callable[..., Stream]]:
    def make(**changes: Any) -> Stream:
        arguments: dict[str, Any] = {
            "size": SIZE, "kind": "none", "mean": torch.zeros(3), "scale": torch.ones(()),
            "batch": BATCH, "wrap": True, "seed": 5, "workers": 0, "damaged": "stop",
        }  # fmt: skip
        tree = changes.pop("tree", photographs.read("made", folder).train)
        return Stream(tree, training_view("aspect", SIZE), **arguments | changes)

    before = multiprocessing.active_children()
    yield make
    assert [p for p in multiprocessing.active_children() if p not in before] == []


def batches(stream: Stream, first: int, last: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    stream.begin(first, last)
    found = []
    for iteration in range(first, last):
        stream.fetch(stream.size(iteration))
        images, labels = stream.next(stream.size(iteration))
        found.append((images.clone(), labels.clone()))
    return found


def names(found: list[tuple[torch.Tensor, torch.Tensor]]) -> list[tuple[int, int]]:
    """Number and class of every image, from its colour."""
    return [
        (round(float(image[0].mean()) / 10), int(label))
        for images, labels in found
        for image, label in zip(images, labels, strict=True)
    ]


def test_every_image_comes_once_an_epoch(stream: Callable[..., Stream]) -> None:
    seen = names(batches(stream(), 0, 11))
    for epoch in (seen[:IMAGES], seen[IMAGES:]):
        assert Counter(epoch) == Counter((n, c) for n in range(11) for c in range(2))
    assert seen[:IMAGES] != seen[IMAGES:]
    # Without wrapping the last batch of an epoch is short.
    assert [len(y) for _, y in batches(stream(wrap=False), 0, 12)] == [4, 4, 4, 4, 4, 2] * 2


def test_workers_and_where_it_starts_change_nothing(stream: Callable[..., Stream]) -> None:
    whole = batches(stream(kind="jitter"), 0, 9)
    pieces = stream(kind="jitter", workers=2)
    found = [*batches(pieces, 0, 3), *batches(pieces, 3, 5), *batches(pieces, 5, 9)]
    for (x, y), (other_x, other_y) in zip(whole, found, strict=True):
        assert torch.equal(x, other_x) and torch.equal(y, other_y)


def test_a_view_is_a_function_of_seed_epoch_and_image(
    stream: Callable[..., Stream], folder: Path
) -> None:
    made = stream(kind="jitter", mean=torch.tensor([9.0, 8.0, 7.0]), scale=torch.tensor(0.5))
    (images, labels) = batches(made, 6, 7)[0]
    tree = photographs.read("made", folder).train
    order = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(derived_seed(5, 1)))
    drawn = draw(BATCH, seed=derived_seed(5, 6, 1))
    for place in range(BATCH):
        index = int(order[24 - IMAGES + place])
        torch.manual_seed(derived_seed(5, 1, index))
        view = training_view("aspect", SIZE)(decode(tree.folder / tree.paths[index]))
        image, row = view.permute(1, 2, 0)[None].float(), drawn[place : place + 1]
        expected = Recolour("jitter", view.device)(image, row)
        expected = (expected[0] - torch.tensor([9.0, 8.0, 7.0])) / 2
        assert torch.allclose(images[place], expected.permute(2, 0, 1), atol=1e-4)
        assert int(labels[place]) == tree.labels[index]


def test_processes_share_a_batch(stream: Callable[..., Stream]) -> None:
    whole = batches(stream(kind="pca"), 0, 6)
    shares = [lambda size: slice(size // 2), lambda size: slice(size // 2, size)]
    parts = [batches(stream(kind="pca", share=share), 0, 6) for share in shares]
    for (x, y), (x0, y0), (x1, y1) in zip(whole, *parts, strict=True):
        assert torch.equal(x, torch.cat([x0, x1])) and torch.equal(y, torch.cat([y0, y1]))


def test_the_generator_of_the_run_is_left_alone(stream: Callable[..., Stream]) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    batches(stream(), 0, 3)
    assert torch.equal(torch.rand(3), expected)


@pytest.fixture
def damaged(folder: Path, tmp_path: Path) -> Any:
    """The training tree with one damaged image."""
    import shutil

    shutil.copytree(folder / "made", tmp_path / "made")
    (tmp_path / "made/train/n01/3.png").write_bytes(b"damaged")
    os.utime(tmp_path / "made/train/n01")  # as if it had come so
    return photographs.read("made", tmp_path).train


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_stops_training_and_is_named(
    workers: int, stream: Callable[..., Stream], damaged: Any
) -> None:
    with pytest.raises(DataError, match=r"n01/3\.png is damaged or not an image"):
        batches(stream(tree=damaged, workers=workers), 0, 6)


def test_or_the_next_one_takes_its_place_and_it_is_counted(
    stream: Callable[..., Stream], damaged: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even where the next one is of another class."""
    (damaged.folder / "n00/9.png").write_bytes(b"damaged")
    made = stream(tree=photographs.read("made", damaged.folder.parent.parent).train, damaged="skip")
    seen = Counter(names(batches(made, 0, 11)))
    assert seen[4, 1] == 4 and seen[3, 1] == 0 and len(made.skipped) == 2
    assert seen[0, 1] == 4 and seen[9, 0] == 0 and seen.total() == 2 * IMAGES
    said = capsys.readouterr().err
    assert said.count("n01/3.png is damaged") == said.count("n00/9.png is damaged") == 1


@pytest.fixture
def failing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Counter[str]]:
    """Let image 3 of the second class fail the first times it is read, as on network storage."""

    def fail(times: int) -> Counter[str]:
        reads, decode = Counter[str](), photographs.decode

        def failing(path: Path) -> torch.Tensor:
            name = f"{path.parent.name}/{path.name}"
            reads[name] += 1
            if name == "n01/3.png" and reads[name] <= times:
                raise DataError(f"{path} is damaged or not an image (Input/output error).")
            return decode(path)

        monkeypatch.setattr(photographs, "decode", failing)
        return reads

    return fail


@pytest.mark.parametrize("damaged", ["stop", "skip"])
def test_an_image_that_cannot_be_read_for_a_moment_is_not_damaged(
    damaged: str, stream: Callable[..., Stream], failing: Callable[[int], Counter[str]]
) -> None:
    failing(1)
    made = stream(damaged=damaged)
    seen = Counter(names(batches(made, 0, 11)))
    assert set(seen.values()) == {2} and len(seen) == IMAGES and not made.skipped


@pytest.mark.parametrize("damaged", ["stop", "skip"])
def test_a_batch_that_holds_another_image_for_one_that_can_be_read_is_not_trained_on(
    damaged: str, stream: Callable[..., Stream], failing: Callable[[int], Counter[str]]
) -> None:
    failing(2)  # by a worker, not by the training process
    made = stream(damaged=damaged)
    with pytest.raises(OSError, match=r"n01/3\.png could not be read, and now it can"):
        batches(made, 0, 11)
    assert not made.skipped


@pytest.mark.parametrize("times", [0, 1, 2])
def test_no_image_is_tested_in_place_of_another(
    times: int, folder: Path, failing: Callable[[int], Counter[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tree = photographs.read("made", folder).test
    view = photographs.test_view(SIZE)
    expected = [view(photographs.decode(folder / "made/val" / path)) for path in tree.paths]
    monkeypatch.setattr(module, "TOGETHER", 4)
    failing(times)
    found = module.decode_all(tree, SIZE, 0)
    assert torch.equal(found, torch.stack(expected).permute(0, 2, 3, 1))


def test_a_tree_that_is_gone_is_not_searched_for_days(
    stream: Callable[..., Stream], damaged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(photographs.time, "sleep", slept.append)
    monkeypatch.setattr(module, "IN_A_ROW", 5)
    made = stream(tree=damaged, damaged="skip")
    damaged.folder.rename(damaged.folder.with_name("gone"))
    with pytest.raises(DataError, match=r"png and all after it cannot be read"):
        batches(made, 0, 2)
    assert sum(slept) < 1


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize(("workers", "ahead"), [(1, 4), (16, 4), (32, 2), (128, 1)])
def test_few_batches_wait_where_many_decode(
    workers: int, ahead: int, stream: Callable[..., Stream]
) -> None:
    assert stream(workers=workers).loader.prefetch_factor == ahead


def test_empty_images_are_damaged_ones(settings: Settings, damaged: Any, tmp_path: Path) -> None:
    (tmp_path / "made/train/n01/3.png").write_bytes(b"")
    images = photographs.read("made", tmp_path)
    with pytest.raises(DataError, match=r"n01/3\.png is empty\.\n.*damaged=skip"):
        Trainer(settings, images, torch.device("cpu"))
    trainer = Trainer(replace(settings, damaged="skip"), images, torch.device("cpu"))
    trainer.begin_segment()
    for _ in range(6):
        trainer.train_iteration()
    resumed = Trainer(replace(settings, damaged="skip"), images, torch.device("cpu"))
    resumed.load(trainer.state())
    for one in (trainer, resumed):
        assert one.batches.facts() == {"damaged": 1}
    Image.new("RGB", (9, 9)).save(tmp_path / "made/train/n01/3.png")
    Trainer(settings, photographs.read("made", tmp_path), torch.device("cpu"))


def test_workers_leave_signals_to_the_trainer(stream: Callable[..., Stream]) -> None:
    made = stream(workers=1)
    made.begin(0, 5)
    made.fetch(BATCH)
    (worker,) = [p for p in multiprocessing.active_children() if p.pid]
    for which in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        os.kill(worker.pid or 0, which)
    for iteration in range(1, 5):
        made.fetch(made.size(iteration))
    assert worker.is_alive()


def test_workers_stay_and_take_no_more_memory(stream: Callable[..., Stream]) -> None:
    """The same two processes from epoch to epoch; nothing grows with what was seen."""
    made, sizes, workers = stream(workers=2, wrap=False), [], set()
    for epoch in range(3):
        for _ in range(6):  # an epoch of six batches, several times over
            batches(made, 6 * epoch, 6 * epoch + 6)
        children = [p.pid for p in multiprocessing.active_children() if p.daemon]
        workers |= set(children)
        sizes.append(sum(resident(pid) for pid in children if pid))
    assert len(workers) == 2
    assert sizes[2] < 1.02 * sizes[0] + 2e6


def resident(pid: int) -> int:
    """Bytes of a process in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_the_test_images_are_the_centres(folder: Path) -> None:
    tree = photographs.read("made", folder).test
    for workers in (0, 2):
        found = decode_all(tree, 32, workers)
        assert found.shape == (22, 32, 32, 3)
        numbers = [int(Path(path).stem) for path in tree.paths]
        expected = np.array([[10 * n, 100 * (i // 11), 200] for i, n in enumerate(numbers)])
        assert (found.float().mean((1, 2)).numpy() == expected).all()


@pytest.fixture
def settings(settings_of: Callable[..., Settings], tmp_path: Path) -> Settings:
    return settings_of(
        ROW, "preset=imagenette", "data.name=made", "data.source=made", "data.classes=2",
        "recipe.batch=4", "recipe.length=3", "recipe.milestones=[2]", "device=cpu", "workers=0",
    )  # fmt: skip


def test_a_network_trains_on_a_tree_and_resumes(settings: Settings, folder: Path) -> None:
    images = photographs.read("made", folder)
    whole = Trainer(settings, images, torch.device("cpu"))
    whole.begin_segment()
    for _ in range(2):
        whole.train_iteration()
    resumed = Trainer(settings, images, torch.device("cpu"))
    resumed.load(whole.state())
    resumed.begin_segment()
    for trainer in (whole, resumed):
        for _ in range(2):
            trainer.train_iteration()
    for name, value in whole.weights().items():
        assert torch.equal(value, resumed.weights()[name]), name
    loss, error = whole.evaluate("test")
    assert np.isfinite(loss) and 0 <= error <= 100
