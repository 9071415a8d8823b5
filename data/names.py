"""Many strings in one piece of memory."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


class Names(Sequence[str]):
    """A million names that worker processes share.

    Reading a Python string changes its reference count, so that every forked process ends up with
    its own copy of a list of strings; here it reads bytes, which stay where they are.
    """

    def __init__(self, names: Iterable[str]):
        encoded = [name.encode() for name in names]
        self.ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)
        self.content = np.frombuffer(b"".join(encoded), np.uint8)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: Any) -> Any:  # no slices: nobody takes one
        if index < 0:
            index += len(self)
        start = int(self.ends[index - 1]) if index else 0
        text = self.content[start : int(self.ends[index])].tobytes()
        return text.decode()
