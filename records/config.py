"""Reading the config of a record, which may come from an untrusted source."""

from pathlib import Path
from typing import Any

import yaml

from records.files import no_pipe
from records.record import RecordError

MAX_BYTES, MAX_DEPTH = 100_000, 8  # ours have 2,000 and 3


def read_config(path: Path) -> dict[str, Any]:
    """Read a record's config.yaml as plain data: mappings, lists, strings, numbers and booleans.

    Nothing in it is resolved or instantiated. Interpolations, tags and aliases are rejected: a
    config written by a run has none.

    Raises:
        RecordError: the file holds anything else, or cannot be read.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecordError(
                f"{path} has more than {MAX_BYTES:,} bytes: not the configuration of a record."
            )
        text = no_pipe(path).read_text(encoding="utf-8")
        _look(path, text)
        plain = yaml.safe_load(text)
    except (OSError, UnicodeError):
        raise RecordError(f"{path} cannot be read.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecordError(f"{path} is damaged: {reason}.") from None
    if not isinstance(plain, dict) or not _is_plain(plain):
        raise RecordError(
            f"{path} is damaged: it is not a mapping of strings, numbers and booleans."
        )
    return plain


def _is_plain(value: Any) -> bool:
    """Whether JSON could represent it: no dates, and only strings as keys."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float)


def _look(path: Path, text: str) -> None:
    """Reject anything but plain data before it is loaded."""
    if "${" in text:
        raise RecordError(f"{path} holds an interpolation (${{...}}), which no run writes.")
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise RecordError(f"{path} holds an alias, which no run writes.")
        if getattr(event, "tag", None):
            raise RecordError(f"{path} holds a tag, which no run writes.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise RecordError(f"{path} is nested more than {MAX_DEPTH} deep.")
