"""The types of settings, with bounds beyond what anyone trains."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from records.exits import UserError
from records.names import at_home

# Marks a setting that describes the machine or a path: it decides no number, so it is in no recipe
# hash, run name or record's config. All others are part of a run's identity.
MACHINE = "of the machine"
STRICT = ConfigDict(strict=True, extra="forbid")


def _as_list(value: Any) -> Any:
    """Wrap a single file in a list; expand ~."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list):
        return values
    return [at_home(x) if isinstance(x, str) else x for x in values]


def _as_text(value: Any) -> Any:
    """A name that YAML takes for a number, such as 2024, as text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


# No mistyped or malicious number may take all memory.
Count = Annotated[int, Field(ge=0, le=10**12)]
Positive = Annotated[int, Field(ge=1, le=10**12)]
MOST = 1024  # threads or processes; far beyond what a machine has, libraries crash
Fraction = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(gt=0, le=1000)]
Files = Annotated[list[str], Field(min_length=1), BeforeValidator(_as_list)] | None
AS_TEXT = BeforeValidator(_as_text)
Place = Annotated[str, AfterValidator(at_home), AS_TEXT, MACHINE]  # a path; ~ is expanded
Folder = Annotated[str, Field(min_length=1), AfterValidator(at_home), AS_TEXT, MACHINE]
Rate = Annotated[float, Field(gt=0, le=1e30)]  # well below the largest float32
Weight = Annotated[float, Field(ge=0, le=1000)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$"), AS_TEXT]


class ConfigError(UserError):
    """A setting is unknown, mistyped or impossible; the message names it and the remedy."""
