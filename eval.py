"""Evaluate weights on a test set (errors and loss, in float32), or analyse them.

python eval.py run=results/runs/he2015_residual/table6/resnet20/cifar10_aug/seed0
python eval.py experiment=he2015_residual/table6/resnet20 weights=FILE
python eval.py run=results/runs/he2015_residual/table6/resnet20/cifar10_aug/seed0 analysis=responses
python eval.py experiment=he2015_residual/table3/resnet50 weights=FILE protocol=multi_scale
python eval.py run=[FOLDER,FOLDER] protocol=ten_crop
python eval.py run=FOLDER protocol=ten_crop save=true
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from training import entry


def job(config: DictConfig) -> None:
    """Find settings and weights, evaluate, print."""
    from data.sets import ARRAYS
    from training.evaluation import analyse, evaluate_members, evaluate_weights, members
    from training.saved_test import record_to_save_in, save_result
    from training.settings import ConfigError

    if config.run is None and config.weights is not None:
        entry.chosen_experiment()
    chosen = members(config, Path(str(config.results_dir)))
    record = record_to_save_in(config.save, chosen)
    settings, weights = chosen[0].settings, chosen[0].weights
    if config.analysis is not None:
        if config.run is None or len(chosen) > 1 or record is not None:
            raise ConfigError("analysis=... goes into a record: give run=<folder>, without save.")
        print(analyse(settings, weights, str(config.analysis), Path(str(config.run))))
        return
    told = ", ".join(str(member.weights) for member in chosen)
    protocols = len(chosen) > 1 or config.protocol != "single" or config.crop or config.short
    if settings.data.source in ARRAYS and not protocols and record is None:
        loss, error, images = evaluate_weights(settings, weights)
        print(f"{told}: top-1 error {error:.2f} %, loss {loss:.4f} ({images:,} test images)")
        return
    test = str(config.protocol), config.crop, config.short
    found = evaluate_members(chosen, *test)
    print(
        f"{told}: top-1 error {found.top1:.2f} %, top-5 error {found.top5:.2f} %, "
        f"loss {found.loss:.4f} ({found.images:,} test images, {config.protocol})"
    )
    if record is not None:
        print(save_result(found, chosen[0], record, *test))


@hydra.main(version_base="1.3", config_path="conf", config_name="eval")
def main(config: DictConfig) -> None:
    entry.guard(lambda: job(config))


if __name__ == "__main__":
    entry.start(main)
