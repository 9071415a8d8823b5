"""Folders and names of runs, and files that are written whole, beside processes that die and others
that are still at it."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from records.config import read_config
from records.files import (
    FolderError,
    make_folder,
    remove_empty,
    write_atomically,
    written_whole,
)
from records.names import (
    CONFIG,
    METRICS,
    PARTS,
    SUMMARY,
    record_folder,
    run_name,
    working_folder,
)
from records.progress import progress_of
from records.record import CHECKSUM, Record, RecordError, checksum, summary_of

CONTEXT = multiprocessing.get_context("fork")


def test_only_empty_folders_are_removed_and_none_above_the_top(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "kept").mkdir(parents=True)
    (top / "kept" / "file").touch()
    make_folder(top / "kept" / "a" / "b")
    remove_empty(top / "kept" / "a" / "b", top)
    assert not (top / "kept" / "a").exists() and (top / "kept" / "file").exists()
    (top / "c" / "d").mkdir(parents=True)
    (top / "kept" / "file").unlink()
    remove_empty(top / "kept", top)
    remove_empty(top / "c" / "d", top)
    assert top.exists() and not list(top.iterdir())


def test_a_folder_in_the_way_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="cannot be written"):
        make_folder(tmp_path / "file" / "below")


def test_a_run_is_named_after_what_it_is() -> None:
    plain = run_name("p/t/row", [], "cifar10_aug", 3)
    assert plain == "p/t/row/cifar10_aug/seed3"
    one = run_name("p/t/row", ["recipe.lr=0.2", "model.depth=8"], "digits", 0)
    assert one == "p/t/row+model.depth=8+recipe.lr=0.2/digits/seed0"
    assert one == run_name("p/t/row", ["model.depth=8", "recipe.lr=0.2"], "digits", 0)
    many = [f"recipe.setting_number_{k}=0.123456789" for k in range(40)]
    long, other = run_name("p/t/row", many, "digits", 0), run_name("p/t/row", many[1:], "digits", 0)
    assert max(map(len, long.split("/"))) < 255 and long != other and "recipe.setting" in long
    assert long == run_name("p/t/row", many[::-1], "digits", 0)
    odd = run_name("p/t/row", ["+data.x='a/b c'"], "digits", 0)
    assert odd.count("/") == plain.count("/") and " " not in odd and "'" not in odd


def test_only_a_full_recipe_leaves_the_outputs(tmp_path: Path) -> None:
    outputs, results = tmp_path / "o", tmp_path / "r"
    assert record_folder(outputs, results, "paper", "a/b") == results / "runs" / "a/b"
    assert record_folder(outputs, results, "smoke", "a/b") == working_folder(
        outputs, "smoke", "a/b"
    )


def as_record(folder: Path) -> None:
    """A whole record."""
    record = Record(folder)
    record.start({"seed": 0})
    record.append({"iteration": 1})
    record.finish({"status": "finished"})


ODD = (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path),
       lambda path: path.symlink_to("nowhere"), Path.mkdir)  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("make", ODD)
def test_no_part_of_a_record_is_waited_for(
    name: str, make: Callable[[Path], object], tmp_path: Path
) -> None:
    """As a stranger's folder may hold a pipe; reading it would never end."""
    as_record(tmp_path)
    whole = summary_of(tmp_path)
    (tmp_path / name).unlink()
    make(tmp_path / name)
    if name == SUMMARY:
        with pytest.raises(RecordError, match=r"is damaged|has ended"):
            summary_of(tmp_path)
    if name == CONFIG:
        with pytest.raises(RecordError, match="cannot be read"):
            read_config(tmp_path / CONFIG)
    if name == METRICS:
        assert progress_of(tmp_path) is None
    with suppress(OSError):  # else it is another one
        assert checksum(tmp_path, whole) != whole[CHECKSUM] or name == SUMMARY


def begin(path: Path, connection: Connection) -> None:
    """Write half a file, say so, and wait to be killed or told to go on."""
    with written_whole(path) as file:
        file.write(b"half of ")
        file.flush()
        connection.send("half")
        connection.recv()
        file.write(b"the other")


@pytest.fixture
def writer(tmp_path: Path) -> tuple[multiprocessing.Process, Connection, Path]:
    ours, theirs = CONTEXT.Pipe()
    path = tmp_path / "set[1].npz"  # a name with a pattern's characters
    process = CONTEXT.Process(target=begin, args=(path, theirs), daemon=True)
    process.start()
    assert ours.recv() == "half"
    return process, ours, path


def test_what_a_killed_writer_left_is_swept(
    writer: tuple[multiprocessing.Process, Connection, Path],
) -> None:
    process, _, path = writer
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert len(list(path.parent.iterdir())) == 1 and not path.exists()
    with written_whole(path) as file:
        file.write(b"whole")
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == b"whole"


def test_a_live_writer_is_left_alone(
    writer: tuple[multiprocessing.Process, Connection, Path],
) -> None:
    process, connection, path = writer
    with written_whole(path) as file:
        file.write(b"whole")
    assert path.read_bytes() == b"whole"
    connection.send("go on")
    process.join(10)
    assert process.exitcode == 0 and path.read_bytes() == b"half of the other"
    assert len(list(path.parent.iterdir())) == 1


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="full"), written_whole(path) as file:
        file.write(b"half")
        raise OSError(28, "full")
    assert path.read_bytes() == b"before" and len(list(tmp_path.iterdir())) == 1


def write_often(path: Path, letter: bytes) -> None:
    for _ in range(200):
        write_atomically(path, letter * 20_000)


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    path.write_bytes(b"a" * 20_000)
    writers = [CONTEXT.Process(target=write_often, args=(path, bytes([c]))) for c in b"abc"]
    for process in writers:
        process.start()
    while any(process.is_alive() for process in writers):
        content = path.read_bytes()
        assert len(content) == 20_000 and len(set(content)) == 1, "half a file was seen"
    assert [process.exitcode for process in writers] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == [path]
