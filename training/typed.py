"""Plain YAML data into dataclasses, with the full name of whatever does not fit."""

import difflib
import re
import types
import typing
from collections.abc import Iterable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from training.settings import ConfigError


def convert(kind: Any, value: Any, path: str) -> Any:
    """Turn plain YAML data into `kind`: a dataclass, `list[...]`, `... | None` or a plain type.

    Args:
        path: full name of the value, for messages.

    Raises:
        ConfigError: a key is unknown or missing, or a value of the wrong type.
    """
    if is_dataclass(kind):
        return _convert_dataclass(kind, value, path)
    if value == "???":
        raise ConfigError(f"{path} has no value; choose a row with experiment=..., or set it.")
    if typing.get_origin(kind) is types.UnionType:
        inner = next(k for k in typing.get_args(kind) if k is not type(None))
        return None if value is None else convert(inner, value, path)
    if typing.get_origin(kind) is list and isinstance(value, list):
        return [convert(typing.get_args(kind)[0], item, path) for item in value]
    plain = typing.get_origin(kind) or kind
    if plain is float and type(value) is int:
        return float(value)
    if plain is not Any and type(value) is not plain:
        raise ConfigError(f"{path}={value!r} should be of type {plain.__name__}.")
    return value


def nearest(name: str, names: Iterable[str], count: int = 3) -> str:
    """ "Did you mean ...?" for a name that is not among `names`; empty where none is close."""
    names = list(names)
    # Somebody who leaves out the group, or the paper and table, means what is in it.
    in_groups = [full for full in names if re.split("[./]", full)[-1] == name][:count]
    close = in_groups or difflib.get_close_matches(name, names, n=count, cutoff=0.5)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _convert_dataclass(kind: Any, value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}={value!r} should be a group of settings.")
    known = {field.name: field for field in fields(kind)}
    prefix = f"{path}." if path else ""
    for key in value:
        if key not in known:
            names = [prefix + name for name in known]
            raise ConfigError(f"Unknown setting {prefix}{key}.{nearest(f'{prefix}{key}', names)}")
    for name, field in known.items():
        if name not in value and field.default is MISSING:
            raise ConfigError(f"The setting {prefix}{name} is missing.")
    hints = typing.get_type_hints(kind)
    return kind(**{k: convert(hints[k], v, prefix + k) for k, v in value.items()})
