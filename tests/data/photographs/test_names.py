"""Names in one piece of memory: read back, and not copied by the processes that read them."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from data.photographs.tree import Names

MAPS = Path("/proc/self/smaps_rollup")
TEXTS = ["", "n01/0.JPEG", "Grüße/✓.png", "", "n02/1.JPEG"]


def test_names_are_read_back() -> None:
    names = Names(TEXTS)
    assert list(names) == TEXTS and len(names) == 5
    assert [names[i] for i in range(-5, 0)] == TEXTS
    with pytest.raises(IndexError):
        names[5]
    assert list(Names([])) == []


def grown(names: Sequence[str]) -> int:
    """Bytes that a forked process makes its own by reading all names."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        before = private()
        for index in range(len(names)):
            names[index]
        os.write(writable, str(private() - before).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return int(os.read(readable, 99))


def private() -> int:
    lines = MAPS.read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("Private_Dirty")).split()[1])


@pytest.mark.skipif(not MAPS.exists(), reason="Linux only")
def test_a_worker_that_reads_them_copies_none() -> None:
    texts = [f"n{number:08d}/n{number:08d}_{number}.JPEG" for number in range(200_000)]
    assert grown(texts) > 10e6  # strings in a list are copied
    assert grown(Names(texts)) < 2e6
