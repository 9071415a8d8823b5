"""Train one row of a paper's table, or several as a multirun.

python train.py experiment=he2015_residual/table6/resnet20 seed=0
python train.py -m experiment=he2015_residual/table6/resnet20 seed=0,1,2
"""

import hydra
from omegaconf import DictConfig

from training import entry


def job(config: DictConfig) -> None:
    """Read the settings, name the run, train it."""
    from training.config import in_table, read_settings
    from training.naming import run_name
    from training.run import run

    experiment = entry.chosen_experiment()
    if not in_table(config, experiment):
        print(f"{experiment} on {config.data.name} is not in {config.table.name}: left out")
        return
    settings = read_settings(config)
    name = run_name(experiment, entry.overrides(), settings)
    if run(settings, experiment, name) == "diverged":
        raise entry.Failed(entry.DIVERGED)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    entry.guard(lambda: job(config))


if __name__ == "__main__":
    entry.start(main)
