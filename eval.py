"""Evaluate weights on a test set (errors and loss, in float32), or analyse them.

python eval.py run=results/runs/he2015_residual/table6/resnet20/cifar10_aug/seed0
python eval.py experiment=he2015_residual/table6/resnet20 weights=FILE
python eval.py run=results/runs/he2015_residual/table6/resnet20/cifar10_aug/seed0 analysis=responses
python eval.py experiment=he2015_residual/table3/resnet50 weights=FILE protocol=multi_scale
python eval.py run=[FOLDER,FOLDER] protocol=ten_crop
python eval.py run=FOLDER protocol=ten_crop save=true
python eval.py run=results/runs/he2015_residual/table6/resnet56/cifar10_aug/seed0 image=cat.png
"""

import json
import signal
from dataclasses import asdict
from pathlib import Path

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the imports without a traceback

import hydra
from omegaconf import DictConfig

from training.runs import entry


def job(config: DictConfig) -> None:
    """Resolve the settings and weights, evaluate and print the result."""
    from records.names import at_home
    from training.settings.config import check_left_to_record, eval_options
    from training.weights.analysis import analyse
    from training.weights.members import members
    from training.weights.predict import seen
    from training.weights.result import record_to_save_in, save_result, tested

    options = eval_options(config)
    if options.run is not None:
        check_left_to_record(entry.overrides())
    elif options.weights is not None:
        entry.chosen_experiment()
    chosen = members(config, options, Path(at_home(str(config.results_dir))))
    record = record_to_save_in(chosen) if options.save or options.analysis else None
    if options.analysis is not None and record is not None:
        print(analyse(chosen[0], options.analysis, record))
        return
    if options.image is not None:
        for file, classes in zip(options.image, seen(chosen, options.image), strict=True):
            print(f"{file}: " + ", ".join(f"{name} {100 * p:.1f} %" for name, p in classes))
        return
    result = tested(chosen, options)
    if options.json:
        print(json.dumps(asdict(result)))
    else:
        files = ", ".join(str(member.weights) for member in chosen)
        print(f"{files}: {result} ({result.images:,} test images, {options.protocol})")
    if record is not None:
        print(save_result(result, chosen[0], record, options))


@hydra.main(version_base="1.3", config_path="conf", config_name="eval")
def main(config: DictConfig) -> None:
    entry.guard(lambda: job(config), resumable=False)


if __name__ == "__main__":
    entry.start(main)
