"""The lock of a run folder."""

import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from records.lock import Busy, is_locked, locked, release_dead
from records.names import LOCK


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to(path)])
def test_what_is_no_lock_is_named(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / LOCK)
    assert not is_locked(tmp_path / LOCK)
    with pytest.raises(OSError, match=str(tmp_path)), locked(tmp_path):
        pass


def test_a_pipe_is_no_lock_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / LOCK)
    assert not is_locked(tmp_path / LOCK)


def test_the_lock_is_gone_however_a_run_ends(tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), locked(tmp_path):
        assert is_locked(tmp_path / LOCK)
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_who_is_busy_is_named(tmp_path: Path) -> None:
    with locked(tmp_path):
        for _ in range(2):  # who is refused leaves the name where it is
            with (
                pytest.raises(Busy, match=f"trained by process {os.getpid()} on"),
                locked(tmp_path),
            ):
                pass


def test_a_look_at_the_lock_is_no_training(tmp_path: Path) -> None:
    """Neither for another look at the same time, nor for a run that begins."""
    path = tmp_path / LOCK
    path.touch()
    with path.open() as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        assert not is_locked(path)
        threading.Timer(0.1, fcntl.flock, (look, fcntl.LOCK_UN)).start()
        with locked(tmp_path):
            assert is_locked(path)


def test_a_lock_that_its_owner_removes_meanwhile_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the next process would make a file of its own, and train the run as well."""
    original, path, removed = fcntl.flock, tmp_path / LOCK, list[bool]()

    def flock(file: IO[str], how: int) -> None:
        if not removed:  # between our opening it and our locking it
            path.unlink()
            removed.append(True)
        original(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path):
        assert removed and is_locked(path)


def test_only_the_lock_of_a_dead_process_is_removed(tmp_path: Path) -> None:
    release_dead(tmp_path)
    with locked(tmp_path):
        release_dead(tmp_path)
        assert is_locked(tmp_path / LOCK)
    (tmp_path / LOCK).write_text("process 1 on a machine that is gone")
    release_dead(tmp_path)
    assert not list(tmp_path.iterdir())
