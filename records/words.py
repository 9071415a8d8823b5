"""Suggestions for misspelled names."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

PARTS = re.compile("[./]")


def nearest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` of `names` (such as `recipe.lr` or `he2015_residual/table6`) that `name`
    may stand for, most likely first; empty if none is close."""
    names = list(names)
    # First guess: the group, or paper and table, was left out;
    meant = [full for full in names if full.endswith((f".{name}", f"/{name}"))]
    # then: the paper was shortened to author and year, as in plans;
    meant = meant or [full for full in names if _shortens(name, full)]
    # then: the beginning is right and the last part is misspelled.
    head, last = _split(name)
    ends = {_split(full)[1]: full for full in names if _split(full)[0] == head}
    meant = meant or [ends[end] for end in get_close_matches(last, ends, count, 0.6)]
    meant = meant or get_close_matches(name, names, count, 0.5)
    if not meant:
        ends = {_split(full)[1]: full for full in names}
        meant = [ends[end] for end in get_close_matches(last, ends, count, 0.6)]
    return meant[:count]


def suggestion(name: str, known: Iterable[str]) -> str:
    """Sentence for an unknown name: the closest known names, or else all of them."""
    known = list(known)
    return did_you_mean(nearest(name, known)) or f"Choose one of {', '.join(known)}."


def did_you_mean(names: Iterable[str]) -> str:
    """The question "Did you mean ...?", or an empty string without names."""
    meant = list(names)
    return f"Did you mean {' or '.join(meant)}?" if meant else ""


def _split(name: str) -> tuple[str, str]:
    *_, last = PARTS.split(name)
    return name.removesuffix(last), last


def _shortens(name: str, full: str) -> bool:
    """Whether `name` abbreviates `full`, as `he2015/table6` does `he2015_residual/table6/...`."""
    short, long = name.split("/"), full.split("/")
    pairs = zip(short, long, strict=False)
    return 1 < len(short) <= len(long) and all(b == a or b.startswith(f"{a}_") for a, b in pairs)
