"""The edge of the program: composed configuration in, short errors and exit codes out."""

import errno
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from data.order import DataError
from data.photographs.workers import why_lost
from records.command import write_anything
from records.exits import BAD_CONFIG, BAD_DATA, BUSY, FAILED, FULL, INTERRUPTED, NO_MEMORY
from records.files import ROOT, FolderError
from records.lock import Busy
from records.names import at_home
from records.record import RecordError
from training.process.signals import Stopped
from training.runs.checkpoint import CheckpointError
from training.settings.checks import nearest
from training.settings.config import CONF
from training.settings.settings import ConfigError, Settings
from training.weights.export import WeightsError

# What a user can cause, or a machine do to one.
USER_ERRORS = (
    ConfigError, WeightsError, CheckpointError, DataError, RecordError, FolderError, Busy, OSError,
    torch.OutOfMemoryError, torch.AcceleratorError,
)  # fmt: skip


MULTIRUN = ("-m", "--multirun")
# With these, jobs run in other processes, or none is meant to.
ELSEWHERE = ("hydra/launcher=", "-h", "--h", "-c", "--c", "-i", "--i", "-s", "--s")
PATHS = ("run", "weights", "image", "data.folder", "output_dir", "results_dir")
NOTHING = (
    "The sweep names no run: does a glob match no row?\n"
    "`table=he2015_residual/table6` sweeps a table."
)
GOES_ON = "The last checkpoint is intact; the same command goes on."
LONGEST = 200  # characters that are shown of what was typed
begun: list[bool] = []  # a job that has begun in this process, each


class Failed(Exception):
    """A job failed, its reason is printed, and `code` is its exit code."""

    def __init__(self, code: int):
        super().__init__(f"exit code {code}")
        self.code = code


def start(task: Callable[[], Any]) -> None:
    """Run a Hydra application and exit with a code; errors of the command line become short."""
    write_anything()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let exceptions come here, not to Hydra's own printer
    # ~ is one's home in all paths; Hydra makes the folder of a sweep before we read any.
    if "OUTPUT_DIR" in os.environ:
        os.environ["OUTPUT_DIR"] = at_home(os.environ["OUTPUT_DIR"])
    prefix = "output_dir="
    sys.argv[1:] = [
        f"{prefix}{at_home(word.removeprefix(prefix))}" if word.startswith(f"{prefix}~") else word
        for word in sys.argv[1:]
    ]
    # Hydra takes -m before the overrides only.
    sys.argv[1:] = sorted(map(quoted, sys.argv[1:]), key=lambda word: word not in MULTIRUN)
    if "--version" in sys.argv:  # Hydra would tell its own
        print(f"Residual to Dense {version()}")
        return
    try:
        _with_all_fields(task)
        sweep = any(word in MULTIRUN for word in sys.argv[1:])
        if sweep and not begun and not any(w.startswith(ELSEWHERE) for w in sys.argv[1:]):
            sys.exit(_print(NOTHING, BAD_CONFIG))
    except Failed as failed:
        sys.exit(failed.code)
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(_print(explain(error), BAD_CONFIG))
    except ValueError as error:  # how Hydra refuses some command lines
        if HydraConfig.initialized():
            raise
        sys.exit(_print(f"{error} ({' '.join(sys.argv[1:])})", BAD_CONFIG))
    except KeyboardInterrupt:
        sys.exit(_print("Interrupted.", INTERRUPTED))
    except BrokenPipeError:  # whoever reads has seen enough, as behind `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def quoted(word: str) -> str:
    """A path that is there, in the quotes that Hydra wants around = , + and blanks: names of runs
    hold them, and a shell completes them bare."""
    key, _, value = word.partition("=")
    if key not in PATHS or value[:1] in ("'", '"', "["):
        return word
    path = at_home(value)
    # Hydra reads a backslash as one, unless quotes follow; OmegaConf resolves what ${ opens.
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", path)
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped)
    escaped = escaped.replace("${", r"\${")
    return f"{key}='{escaped}'" if os.path.exists(path) else word  # noqa: PTH110  Path's raises


def version() -> str:
    """The version of the suite, as pyproject.toml has it."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def _with_all_fields(task: Callable[[], Any]) -> None:
    """Run an application that takes every field of the settings as `key=value`.

    Hydra wants a plus in front of a key that the chosen files leave to its default.
    """
    try:
        task()
    except HydraException as error:
        key = _not_in_files(error)
        words = [word for word in sys.argv[1:] if key and word.partition("=")[0] == key]
        if begun or not words or key not in optional_fields():
            raise
        sys.argv[1:] = ["++" + word if word in words else word for word in sys.argv[1:]]
        _with_all_fields(task)


def optional_fields() -> set[str]:
    """Full names of the settings that no file has to hold, as `recipe.crop`."""
    groups = {name: kind for name, kind in get_type_hints(Settings).items() if is_dataclass(kind)}
    return {f"{name}.{field.name}" for name, kind in groups.items() for field in fields(kind)}


def _not_in_files(error: Exception) -> str:
    """The key that Hydra could not override, if it is that; or an empty text."""
    match = re.search(r"Could not (?:override|append to config)[^']*'([^']+)'", str(error))
    return match[1] if match else ""


def guard(job: Callable[[], None], *, resumable: bool) -> None:
    """Do one job of an application, with every error a user can cause as a short message.

    Args:
        resumable: whether the same command goes on where it has ended.

    Raises:
        SystemExit: with the job's exit code.
        Failed: instead, in a multirun, which goes on with its other jobs.
    """
    begun.append(True)
    try:
        job()
    except Stopped as stopped:
        sys.exit(_print(str(stopped), stopped.code))
    except Failed as failed:
        message, code = "", failed.code  # it has been said
    except USER_ERRORS as error:
        message, code = explained(error)
    except RuntimeError as error:
        if (why := why_lost(error)) is None:
            raise
        message, code = why, FAILED
    else:
        return
    if message:
        goes_on = resumable and code in (FAILED, NO_MEMORY, FULL)
        _print(f"{message}\n{GOES_ON}" if goes_on else message, code)
    if in_multirun():
        raise Failed(FAILED)
    sys.exit(code)


def explained(error: Exception) -> tuple[str, int]:
    """Message and exit code for one of `USER_ERRORS`."""
    if isinstance(error, DataError):
        return str(error), BAD_DATA
    if isinstance(error, OSError):
        return _of_a_file(error)
    if isinstance(error, Busy):
        return str(error), BUSY
    if isinstance(error, torch.OutOfMemoryError):
        reason = str(error).splitlines()[0]
        return (
            f"{reason}\nFree the GPU, let several share the run "
            "(torchrun --nproc-per-node N train.py ...), or try precision=bf16."
        ), NO_MEMORY
    if isinstance(error, torch.AcceleratorError):
        reason = str(error).splitlines()[0]
        return reason, NO_MEMORY if "out of memory" in reason else FAILED
    return str(error), BAD_CONFIG


def _of_a_file(error: OSError) -> tuple[str, int]:
    """Message and exit code for what a file system refuses."""
    if error.errno == errno.EISDIR:  # of a file that was to be renamed, where it was to go
        place = error.filename2 or error.filename
        return f"{place} is a folder where a file should be; remove or rename it.", BAD_CONFIG
    what = f"{error.filename}: {error.strerror}." if error.filename else f"{error}."
    if error.errno == errno.ENAMETOOLONG:
        return what, BAD_CONFIG
    return what, FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else FAILED


def in_multirun() -> bool:
    """Whether the running job is one of several."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def chosen_experiment() -> str:
    """The row chosen on the command line.

    Raises:
        ConfigError: none was.
    """
    experiment = HydraConfig.get().runtime.choices.get("experiment")
    if not experiment:
        raise ConfigError(
            "No row was chosen: add experiment=<paper>/<table>/<row>, for example "
            "experiment=he2015_residual/table6/resnet20."
        )
    return experiment


def overrides() -> list[str]:
    """What the command line changes, as `key=value`."""
    return list(HydraConfig.get().overrides.task)


def explain(error: Exception) -> str:
    """A message of one to three lines for an error in the command line or the configuration."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _unknown_choice(str(error.missing_cfg_file))
    if isinstance(error, OverrideParseException):
        return _unreadable(str(error.override))
    text = str(error)
    if match := re.match(r"Ambiguous value for argument '([^']+)'", text):
        return f"{match[1]}: several values make several runs; add -m to start them all."
    if name := _not_in_files(error):
        # A key of another network than the chosen one is known, and no help.
        others = [key for key in known_keys() if key != name]
        return f"Unknown setting {name}.{nearest(name, others)}"
    if isinstance(error.__cause__, OmegaConfBaseException):
        text = str(error.__cause__)
    return " ".join(text.split("\n")[0].split()) or type(error).__name__


def _unreadable(override: str) -> str:
    """What the parser cannot read: in most cases a path that holds one of its own signs."""
    key, equals, value = override.partition("=")
    if not equals or len(override) > LONGEST or not override.isprintable():
        return f"{override[:LONGEST]!a} cannot be read; settings are given as key=value."
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    whole = shlex.quote(f'{key}="{escaped}"')
    return f"{override} cannot be read; if that is a text, quote it for the shell, too: {whole}"


def known_keys() -> list[str]:
    """Every name that can stand left of `=`: groups, settings, and settings in groups."""
    from omegaconf import OmegaConf

    names = [path.name for path in CONF.iterdir() if path.is_dir()]
    for path in CONF.rglob("*.yaml"):
        group = path.relative_to(CONF).parts[0]
        if group in ("experiment", "table"):
            continue
        prefix = "" if path.parent == CONF else f"{group}."
        content = OmegaConf.load(path)
        assert isinstance(content, DictConfig)
        keys = [str(key) for key in content if key not in ("defaults", "hydra")]
        names += [prefix + key for key in keys]
    return sorted(set(names))


def _unknown_choice(name: str) -> str:
    """`experiment/he2015_residual/table6/resnet21` is no file: say what is near."""
    group, _, choice = name.removesuffix(".yaml").partition("/")
    folder = CONF / group
    choices = sorted(
        path.relative_to(folder).with_suffix("").as_posix()
        for path in folder.rglob("*.yaml")
        if not path.name.startswith("_")
    )
    if not choices:
        return f"Unknown configuration {name}.{nearest(name, known_keys())}"
    hint = nearest(choice, choices) or f" Choose one of: {', '.join(choices[:8])}."
    return f"Unknown {group} {choice}.{hint}"


def _print(message: str, code: int) -> int:
    print(message, file=sys.stderr, flush=True)
    return code
