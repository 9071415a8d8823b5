"""The lock of a run folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from records.lock import is_locked, locked
from records.names import LOCK


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to(path)])
def test_what_is_no_lock_is_named(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / LOCK)
    assert not is_locked(tmp_path / LOCK)
    with pytest.raises(OSError, match=str(tmp_path)), locked(tmp_path):
        pass
