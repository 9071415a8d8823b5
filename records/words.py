"""Words for people: suggestions for misspelled names, and durations."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

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
    meant = meant or [ends[end] for end in _close(last, ends, 0.6)]
    meant = meant or _close(name, names, 0.5)
    if not meant:
        ends = {_split(full)[1]: full for full in names}
        meant = [ends[end] for end in _close(last, ends, 0.6)]
    return meant[:count]


def suggestion(name: str, known: Iterable[str]) -> str:
    """Sentence for an unknown name: the closest known names, or else all of them."""
    known = list(known)
    return did_you_mean(nearest(name, known)) or f"Choose one of {', '.join(known)}."


def did_you_mean(names: Iterable[str]) -> str:
    """The question "Did you mean ...?", or an empty string without names."""
    *others, last = [*names] or [""]
    return f"Did you mean {', '.join(others)}{' or ' * bool(others)}{last}?" if last else ""


def duration(seconds: float) -> str:
    """A duration, rounded, with its unit."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def _close(name: str, names: Iterable[str], least: float) -> list[str]:
    """The names whose similarity to `name` is at least `least`, the closest first; of equally close
    ones, the one whose letters or digits are nearer: table6, not table1, for table7."""

    def distance(other: str) -> tuple[float, list[int]]:
        letters = [abs(ord(a) - ord(b)) for a, b in zip(name, other, strict=False)]
        return 1 - SequenceMatcher(None, name, other).ratio(), letters

    near = {other: distance(other) for other in names}
    return sorted((other for other in near if near[other][0] <= 1 - least), key=near.__getitem__)


def _split(name: str) -> tuple[str, str]:
    *_, last = PARTS.split(name)
    return name.removesuffix(last), last


def _shortens(name: str, full: str) -> bool:
    """Whether `name` abbreviates `full`, as `he2015/table6` does `he2015_residual/table6/...`."""
    short, long = name.split("/"), full.split("/")
    pairs = zip(short, long, strict=False)
    return 1 < len(short) <= len(long) and all(b == a or b.startswith(f"{a}_") for a, b in pairs)
