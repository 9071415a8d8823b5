"""The findings of a check, as lines of text."""

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

Mark = Literal["ok", "note", "FAIL"]
INDENT, WIDTH = 20, 79


@dataclass(frozen=True)
class Finding:
    """A line of `make doctor`: what was checked, the result and, unless all is well, the remedy."""

    mark: Mark
    what: str
    result: str
    remedy: str = ""

    def __str__(self) -> str:
        lines = [line for text in (self.result, self.remedy) if text for line in _broken(text)]
        return f"{self.mark:<4}  {self.what:<12}  " + f"\n{'':{INDENT}}".join(lines)


def _broken(text: str) -> list[str]:
    """Wrap a text to the width of a terminal, without breaking paths."""
    width = WIDTH - INDENT
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def judged(good: bool, what: str, result: str, remedy: str, *, otherwise: Mark = "FAIL") -> Finding:
    """A finding that all is well, or the remedy if it is not."""
    return Finding("ok", what, result) if good else Finding(otherwise, what, result, remedy)


Check = Callable[[], Iterator[Finding]]


def findings(check: Check) -> Iterator[Finding]:
    """Run a check and yield its findings; an exception becomes a finding, too."""
    name = check.__name__
    try:
        yield from check()
    except Exception as error:  # whatever a broken machine may raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        yield Finding("FAIL", name, f"could not be checked: {type(error).__name__}: {reason}")
