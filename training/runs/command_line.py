"""The command line of train.py and eval.py: prepared for Hydra, and Hydra's errors in our words."""

import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Sequence

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from records.files import ROOT
from records.names import at_home
from training.settings.checks import nearest
from training.settings.config import CONF
from training.settings.types import ConfigError

MULTIRUN = ("-m", "--multirun")
# With these, jobs run in other processes or not at all.
ELSEWHERE = ("hydra/launcher=", "-h", "--h", "-c", "--c", "-i", "--i", "-s", "--s")
PATHS = ("run", "weights", "image", "data.folder", "output_dir", "results_dir", "recipe.teacher")
# Hydra's own flags with two dashes; they may be abbreviated.
FLAGS = ("--help", "--hydra-help", "--version", "--cfg", "--resolve", "--package", "--run",
         "--multirun", "--shell-completion", "--config-path", "--config-name", "--config-dir",
         "--experimental-rerun", "--info")  # fmt: skip
LONGEST = 200  # characters of the input shown in a message


def for_hydra(words: Sequence[str]) -> list[str]:
    """Rewrite a command line for Hydra: -m first, paths quoted, and `++` for the `+` of a setting,
    because Hydra rejects `+` for a key that exists."""
    plussed = (re.sub(r"^\+(?=[\w.]+\.\w+=)", "++", word) for word in words)
    return sorted(map(quoted, plussed), key=lambda word: word not in MULTIRUN)


def check_words(words: Sequence[str]) -> None:
    """Reject what Hydra would take in another sense than was meant, or explain badly.

    Raises:
        ConfigError: a setting is written as a flag, such as `--epochs 3`; a setting is removed, or
            a group of settings is given as a whole; a file is named by its ending; several tables
            are swept at once; there is no Slurm.
    """
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    for word in words:
        key, equals, value = word.partition("=")
        if word.startswith("--") and not any(known.startswith(key) for known in FLAGS):
            hint = nearest(key.strip("-"), known_keys())
            raise ConfigError(f"{key}: settings are given as key=value, without dashes.{hint}")
        if word.startswith("~"):
            name = key.removeprefix("~")
            raise ConfigError(f"{word} removes a setting, and all are needed; give {name} a value.")
        if key not in groups or not equals:
            continue
        if value[:1] in ("{", "[") or value in ("", "null"):
            raise ConfigError(f"{word}: choose a file of conf/{key}, and set {key}.<name>=<value>.")
        if value.endswith(".yaml"):
            raise ConfigError(f"{word}: leave out .yaml.")
        if key == "table" and "," in value:
            raise ConfigError(f"{word}: a multirun sweeps one table; start one for each.")
    if "hydra/launcher=submitit_slurm" in words and shutil.which("srun") is None:
        raise ConfigError("hydra/launcher=submitit_slurm needs Slurm, and there is no srun here.")


def is_sweep(words: Sequence[str]) -> bool:
    """Whether a command line asks for several jobs in this process."""
    return any(w in MULTIRUN for w in words) and not any(w.startswith(ELSEWHERE) for w in words)


def quoted(word: str) -> str:
    """Expand ~ in a path, and quote it: Hydra needs quotes around = , + and blanks, which run names
    contain and a shell completes unquoted. What may be a list, a sweep or an interpolation stays as
    typed, unless it exists."""
    key, _, value = word.partition("=")
    if key not in PATHS or value[:1] in ("'", '"', "["):
        return word
    path = at_home(value)
    other = path in ("", "null") or "," in path or "${" in path
    if other and not os.path.exists(path):  # noqa: PTH110  Path's raises
        return f"{key}={path}"
    # Hydra takes backslashes literally unless a quote follows; OmegaConf would resolve ${...}.
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", path)
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped)
    escaped = escaped.replace("${", r"\${")
    return f"{key}='{escaped}'"


def version() -> str:
    """The version of the suite, from pyproject.toml."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def explain(error: Exception) -> str:
    """A message of one to three lines for an error in the command line or the configuration."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _unknown_choice(str(error.missing_cfg_file))
    if isinstance(error, OverrideParseException):
        return _unreadable(str(error.override))
    text = str(error)
    if match := re.match(r"Ambiguous value for argument '([^']+)'", text):
        return f"{match[1]}: several values mean several runs; add -m to start them all."
    if match := re.search(r"Could not (?:override|append to config)[^']*'([^']+)'", text):
        # The key may belong to another network; suggesting it again would not help.
        others = [key for key in known_keys() if key != match[1]]
        own = f"\nAn argument that conf/model does not list is given as +{match[1]}=..."
        hint = nearest(match[1], others) + own * match[1].startswith("model.")
        return f"Unknown setting {match[1]}.{hint}"
    if isinstance(error.__cause__, OmegaConfBaseException):
        text = str(error.__cause__)
    return " ".join(text.split("\n")[0].split()) or type(error).__name__


def _unreadable(override: str) -> str:
    """Explain what Hydra's parser cannot read: mostly a path with one of its special characters."""
    key, equals, value = override.partition("=")
    if not equals or len(override) > LONGEST or not override.isprintable():
        return f"{override[:LONGEST]!a} cannot be read; settings are given as key=value."
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    whole = shlex.quote(f'{key}="{escaped}"')
    return f"{override} cannot be read; if it is text, quote it for the shell as well: {whole}"


def known_keys() -> list[str]:
    """Every name that can appear left of `=`: groups, settings, and settings in groups."""
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
    """Explain that `experiment/he2015_residual/table6/resnet21` is not a file, with near names."""
    group, _, choice = name.removesuffix(".yaml").partition("/")
    folder = CONF / group
    choices = sorted(
        path.relative_to(folder).with_suffix("").as_posix()
        for path in folder.rglob("*.yaml")
        if not path.name.startswith("_")
    )
    if not choices:
        return f"Unknown configuration {name}.{nearest(name, known_keys())}"
    if group == "experiment" and (CONF / "table" / f"{choice}.yaml").exists():
        return (
            f"{choice} is a table; experiment= names one row of it, as experiment={choice}/...\n"
            f"All of them: python train.py -m table={choice}, or make reproduce-table "
            f"TABLE={choice}"
        )
    hint = nearest(choice, choices) or f" Choose one of: {', '.join(choices[:8])}."
    return f"Unknown {group} {choice}.{hint}"
