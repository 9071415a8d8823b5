"""Evaluate weights on a test set (top-1 error and loss, single view, float32), or analyse them.

python eval.py run=results/runs/he2015_residual/table6/resnet20/cifar10_aug/seed0
python eval.py experiment=he2015_residual/table6/resnet20 weights=FILE
python eval.py run=results/runs/he2015_residual/table6/resnet20/cifar10_aug/seed0 analysis=responses
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from training import entry


def job(config: DictConfig) -> None:
    """Find settings and weights, evaluate, print."""
    from training.config import read_settings
    from training.evaluation import analyse, evaluate_weights, record_settings, record_weights
    from training.settings import ConfigError

    if config.run is not None:
        folder = Path(str(config.run))
        settings = record_settings(config, folder)
        weights = Path(config.weights or record_weights(folder, Path(settings.results_dir)))
    elif config.weights is not None:
        entry.chosen_experiment()
        settings, weights = read_settings(config), Path(str(config.weights))
    else:
        raise ConfigError("Give run=<record folder>, or experiment=<row> and weights=<file>.")
    if config.analysis is not None:
        if config.run is None:
            raise ConfigError("analysis=... writes into a record: give it with run=<folder>.")
        print(analyse(settings, weights, str(config.analysis), Path(str(config.run))))
        return
    loss, error, images = evaluate_weights(settings, weights)
    print(f"{weights}: top-1 error {error:.2f} %, loss {loss:.4f} ({images:,} test images)")


@hydra.main(version_base="1.3", config_path="conf", config_name="eval")
def main(config: DictConfig) -> None:
    entry.guard(lambda: job(config))


if __name__ == "__main__":
    entry.start(main)
