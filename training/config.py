"""From a composed Hydra configuration to the settings of a run."""

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from training.checks import check_model, check_values
from training.settings import ConfigError, Settings
from training.typed import convert

# Keys of the composed configuration that are no setting of a run.
NOT_SETTINGS = (
    "table", "run", "weights", "analysis", "protocol", "crop", "short", "save", "hydra",
)  # fmt: skip


def in_table(config: DictConfig, experiment: str) -> bool:
    """Whether a row on its data set is part of the table that is swept; true where none is.

    A sweep combines every row with every data set; papers did not. Small versions of a row train on
    another set anyhow.
    """
    if config.preset.name in ("smoke", "imagenette"):
        return True
    only = OmegaConf.select(config, "table.only") or {}
    return experiment not in only or config.data.name in only[experiment]


def read_settings(config: DictConfig) -> Settings:
    """Check a composed configuration and return it as settings.

    Raises:
        ConfigError: a key is unknown or missing, a value of the wrong type or impossible.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from None
    assert isinstance(plain, dict)
    for key in NOT_SETTINGS:
        plain.pop(key, None)
    settings = convert(Settings, plain, "")
    check_values(settings)
    check_model(settings)
    return settings
