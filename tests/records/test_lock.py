"""Files that are written whole, beside processes that die and others that are still at it."""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from records.lock import written_whole

CONTEXT = multiprocessing.get_context("fork")


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
