"""Convert a composed Hydra config to the settings of a run."""

from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_args, get_type_hints

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from records.files import ROOT
from training.settings.checks import checked, typed
from training.settings.recipe import Recipe
from training.settings.settings import SMALL, EvalOptions, Logger, Preset, Settings
from training.settings.types import MACHINE, ConfigError

CONF = ROOT / "conf"
# Keys that a run's name or folder holds already, and groups that are not settings.
NAMED_ANYHOW = ("experiment", "data", "seed", "preset", "table")
NOT_SETTINGS = ("table", "hydra")
EVAL_OPTIONS = tuple(field.name for field in fields(EvalOptions))


def defaults_of(kind: Any) -> dict[str, Any]:
    """The defaults of a group's optional settings, by name."""
    return {field.name: field.default for field in fields(kind) if field.default is not MISSING}


# Hydra accepts `key=value` only for keys in its config, so conf/config.yaml begins with these.
GROUPS = {"recipe": Recipe, "preset": Preset, "logger": Logger}
ConfigStore.instance().store("defaults", {key: defaults_of(kind) for key, kind in GROUPS.items()})


def in_table(config: DictConfig, experiment: str) -> bool:
    """Whether the table being swept has the row on its data set; true if no table is swept.

    A sweep combines every row with every data set, which the papers did not. Presets in `SMALL`
    train on a data set of their own anyway.
    """
    if config.preset.name in SMALL:
        return True
    only = OmegaConf.select(config, "table.only") or {}
    return experiment not in only or config.data.name in only[experiment]


def eval_options(config: DictConfig) -> EvalOptions:
    """Read the options of eval.py from its config.

    Raises:
        ConfigError: a value has the wrong type or is impossible, or has no effect beside another.
    """
    plain = _plain(config)
    options = typed(EvalOptions, {key: plain[key] for key in EVAL_OPTIONS if key in plain})
    asked = [name for name in ("image", "analysis") if getattr(options, name) is not None]
    if asked:  # neither runs a test
        defaults = {"protocol": "single", "crop": None, "short": None, "save": False, "json": False}
        asked += [name for name, default in defaults.items() if getattr(options, name) != default]
    if options.short is not None and options.protocol not in ("single", "ten_crop"):
        raise ConfigError(
            f"short={options.short} has no effect beside protocol={options.protocol}, which sets "
            "its own sizes; leave it out."
        )
    if len(asked) > 1:
        raise ConfigError(f"{asked[1]}=... has no effect beside {asked[0]}=...; leave one out.")
    return options


def read_settings(config: DictConfig, ignore: Sequence[str] = ()) -> Settings:
    """Check a composed config and return it as settings, leaving out the keys to `ignore`.

    Raises:
        ConfigError: a key is unknown or missing, or a value has the wrong type or is impossible.
    """
    plain = _plain(config).items()
    if empty := sorted(OmegaConf.missing_keys(config)):
        raise ConfigError(
            f"{' and '.join(empty)} {'have' if len(empty) > 1 else 'has'} no value; choose a row "
            f"with experiment=..., or set {' '.join(f'{key}=...' for key in empty)}"
        )
    return checked({k: v for k, v in plain if k not in (*NOT_SETTINGS, *ignore)})


def _plain(config: DictConfig) -> dict[str, Any]:
    """Resolve a config to plain data; raise a ConfigError where an interpolation fails."""
    try:
        plain: Any = OmegaConf.to_container(config, resolve=True)
    except InterpolationToMissingValueError as error:
        missing = str(error).splitlines()[0].rpartition(" ")[2]
        raise ConfigError(f"{missing} has no value; set {missing}=...") from None
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from None
    return dict(plain)


def composed(*overrides: str) -> Settings:
    """The settings that train.py would read from these overrides; errors as in `read_settings`."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=list(overrides))
    return read_settings(config)


def named(overrides: Sequence[str]) -> list[str]:
    """The overrides that a run's name must contain: those that change more than row, data set and
    seed."""
    unnamed = {*NAMED_ANYHOW, "hydra", *machine_settings()}

    def is_named(override: str) -> bool:
        key = override.lstrip("+~").partition("=")[0]
        return key not in unnamed and key.split(".")[0] not in ("hydra", "logger")

    # A leading plus matters to Hydra only, and of repeated keys the last one counts.
    bare = [override.lstrip("+") for override in overrides if is_named(override)]
    return list({override.partition("=")[0]: override for override in bare}.values())


def check_left_to_record(overrides: Sequence[str]) -> None:
    """Raise a ConfigError for an override that would be ignored beside run=<record>."""
    free = {*EVAL_OPTIONS, *machine_settings()}
    for override in overrides:
        if override.lstrip("+~").partition("=")[0] not in free:
            raise ConfigError(
                f"{override} has no effect beside run=..., whose record decides that.\n"
                "Leave it out, or name experiment=... and weights=... in place of run=...."
            )


def machine_settings(kind: Any = Settings, prefix: str = "") -> set[str]:
    """Full names of the settings that describe the machine or a path."""
    hints, names = get_type_hints(kind, include_extras=True), set[str]()
    for field in fields(kind):
        if MACHINE in get_args(hints[field.name]):
            names.add(prefix + field.name)
        elif is_dataclass(hints[field.name]):
            names |= machine_settings(hints[field.name], f"{prefix}{field.name}.")
    return names
