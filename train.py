"""Train one row of a paper's table, or several as a multirun.

python train.py experiment=he2015_residual/table6/resnet20 seed=0
python train.py -m experiment=he2015_residual/table6/resnet20 seed=0,1,2
"""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the imports without a traceback

import hydra
from omegaconf import DictConfig

from training.runs import entry


def job(config: DictConfig) -> None:
    """Read the settings, name the run, train it."""
    from records.exits import DIVERGED
    from records.names import run_name
    from training.recipe.effects import refuse_idle
    from training.runs.run import run
    from training.settings.config import in_table, named, read_settings

    entry.check_alone()
    experiment = entry.chosen_experiment()
    if not in_table(config, experiment):
        print(f"{experiment} on {config.data.name} is not in {config.table.name}: left out")
        return
    settings = read_settings(config)
    refuse_idle(entry.overrides(), settings, config)
    changes = named(entry.overrides())
    name = run_name(experiment, changes, settings.data.name, settings.seed)
    status, error = run(settings, experiment, name)
    entry.ended.append((name, status, error))
    if status == "diverged":
        raise entry.Failed(DIVERGED)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    entry.guard(lambda: job(config), resumable=True)


if __name__ == "__main__":
    entry.start(main)
