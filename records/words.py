"""What somebody may have meant who typed a name that is not known."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

PARTS = re.compile("[./]")


def nearest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Those of `names`, as `recipe.lr` or `he2015_residual/table6`, that `name` may stand for; the
    likeliest first, none where nothing is near."""
    names = list(names)
    # Somebody who leaves out the group, or the paper and table, means what is in it;
    meant = [full for full in names if full.endswith((f".{name}", f"/{name}"))]
    # who names a paper by author and year, as plans do, means that paper;
    meant = meant or [full for full in names if _shortens(name, full)]
    # and who mistypes the end of a name has its beginning right.
    head, last = _split(name)
    ends = {_split(full)[1]: full for full in names if _split(full)[0] == head}
    meant = meant or [ends[end] for end in get_close_matches(last, ends, count, 0.6)]
    meant = meant or get_close_matches(name, names, count, 0.5)
    if not meant:
        ends = {_split(full)[1]: full for full in names}
        meant = [ends[end] for end in get_close_matches(last, ends, count, 0.6)]
    return meant[:count]


def suggestion(name: str, known: Iterable[str]) -> str:
    """What to say of a name that is not known: those that are near, or else all."""
    known = list(known)
    return did_you_mean(nearest(name, known)) or f"Choose one of {', '.join(known)}."


def did_you_mean(names: Iterable[str]) -> str:
    """The question to ask of what may be meant; empty where that is nothing."""
    meant = list(names)
    return f"Did you mean {' or '.join(meant)}?" if meant else ""


def _split(name: str) -> tuple[str, str]:
    *_, last = PARTS.split(name)
    return name.removesuffix(last), last


def _shortens(name: str, full: str) -> bool:
    """Whether `he2015/table6` is short for `he2015_residual/table6`, or for what begins so."""
    short, long = name.split("/"), full.split("/")
    pairs = zip(short, long, strict=False)
    return 1 < len(short) <= len(long) and all(b == a or b.startswith(f"{a}_") for a, b in pairs)
