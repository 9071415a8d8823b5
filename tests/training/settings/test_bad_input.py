"""What a user can get wrong: a short message that names it and the remedy, and nothing left."""

import errno
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from safetensors.torch import save_file

from models.resnet import ResNet
from records.files import ROOT
from tests.training.runs.test_checkpoint import Evil
from training.recipe.effects import refuse_idle
from training.runs.command_line import check_words, explain, for_hydra, known_keys, quoted
from training.settings.checks import SYNONYMS, nearest
from training.settings.config import (
    CONF,
    check_left_to_record,
    eval_options,
    named,
    read_settings,
)
from training.settings.types import ConfigError

ROW = "experiment=he2015_residual/table6/resnet20"
SMOKE = [ROW, "preset=smoke", "device=cpu", "threads=1", "model.depth=8", "recipe.length=6",
         "recipe.milestones=[4]", "checkpoint_seconds=0"]  # fmt: skip
BAD_CONFIG, BAD_DATA, FAILED = 2, 3, 1

# Refused by the command line or because of what it says: one case for each way, and others.
WAYS = [
    (["experiment=he2015_residual/table6/resnet21"], r"resnet21.* Did you mean .*table6/resnet20"),
    ([f"{ROW}.yaml", "preset=smoke"], "leave out .yaml"),
    ([ROW, "model.dept=20"], "model.dept.* Did you mean model.depth"),
    ([*SMOKE, "recipe.dropout=0.3"], "recipe.dropout=0.3 has no effect without a network that"),
    ([ROW, "seed=0,1"], "several values mean several runs; add -m"),
    ([ROW, "recipe.milestones=[1"], "cannot be read"),
]
CONFIGS = [
    (["experiment=he2015_residual/tabel6/resnet20"],
     "Did you mean he2015_residual/table6/resnet20"),
    ([ROW, "preset=smoke", "~recipe.dropout"], "removes a setting"),
    ([ROW, "preset=smoek"], "smoek.* Did you mean smoke"),
    ([ROW, "recipe=he2016x"], "he2016x.* Did you mean he2016"),
    (["experiment=huang2017_dense/table2/densenet_40_12", "model.stride_on=3x3"],
     "Unknown setting model.stride_on"),
    ([ROW, "data=own", "data.name=pets"], "data.classes has no value"),
    ([ROW, "data=cifar100_aug", "data.source=cifar10", "data.classes=10"], "is another data set"),
    ([ROW, "data=own", "data.classes=9", 'data.name="größe"'], "a name has letters, digits"),
    ([ROW, "data.name=pets"], "data.name=pets is another data set than data.source=cifar10"),
    ([ROW, "recipe.lrr=1"], "recipe.lrr.* Did you mean recipe.lr"),
    ([ROW, "lr=1"], "lr.* Did you mean recipe.lr"),
    ([ROW, "device=tpu"], "device=tpu is unknown"),
    ([ROW, "recipe=null"], "recipe=null: choose a file of conf.recipe"),
]  # fmt: skip
# Refused when a run begins.
RUNS = [
    ([ROW, "preset=smoke", "data.size=33"], "data.size=33, but digits has 16"),
    ([*SMOKE, "recipe.colour=pca"], "recipe.colour=pca is for photographs, not for digits"),
    ([ROW, "device=cuda:99"], r"device=cuda:99: [\s\S]*use device=cpu"),
    ([], "No row was chosen: add experiment="),
]
MORE_RUNS = [
    ([ROW, "preset=smoke", "data.classes=5"], "data.classes=5, but digits has 10"),
    (["model.depth=20"], "No row was chosen"),
]
# Refused when the settings are checked, which is done alike whoever asks.
SETTINGS = [
    ([ROW, "model.depth=21"], "depth=21 is not 6n [+] 2; the nearest valid depth is 20"),
    ([ROW, "model.depth=twenty"], "model.depth='twenty' is impossible: should be a valid integer"),
    ([ROW, "+model.dept=20"], "model.dept.* Did you mean model.depth"),
    ([ROW, "model.order=preact"], "order='preact' is unknown; choose one of original"),
    ([ROW, "recipe.lr=-1"], "recipe.lr=-1 is impossible: should be greater than 0"),
    ([ROW, "recipe.lr=nan"], "recipe.lr=nan is impossible"),
    ([ROW, "recipe.lr=1e39"], r"recipe.lr=1e\+39 is impossible: should be less"),
    ([ROW, "model.gate_bias=nan"], "model.gate_bias=nan is not a finite number"),
    ([ROW, "model.scale_branch=inf"], "model.scale_branch=inf is not a finite number"),
    ([ROW, "recipe.lr=inf"], "recipe.lr=inf is impossible"),
    ([ROW, "seed=99999999999999999999"], "seed=99999999999999999999 is impossible"),
    ([ROW, f"seed={2**32}"], "seed=4294967296 is impossible: should be less than 4294967296"),
    ([ROW, "recipe.prepare=zca", "recipe.holdout=100", "recipe.mean=none"],
     "prepare=zca whitens by all training images; set recipe.holdout=0"),
    ([ROW, "data.name=../../x"], "data.name=.*: a name has letters"),
    ([ROW, "model.classes=5"], "model.classes=5, but data.classes=10"),
    (["experiment=huang2017_dense/table3/densenet121", "preset=smoke"],
     "data.size=16 is too small for model.images=imagenet"),
    ([ROW, "recipe.lr=fast"], "recipe.lr='fast' is impossible: should be a valid number"),
    ([ROW, "recipe.batch=1"], "recipe.batch=1 is impossible: should be greater than or equal to 2"),
    ([ROW, "recipe.momentum=1.5"],
     "recipe.momentum=1.5 is impossible: should be less than or equal to 1"),
    ([ROW, "recipe.milestones=[48000,32000]"], r"milestones=\[48000, 32000\] must rise"),
    ([ROW, "recipe.length=40000"], "milestones=.* must be below recipe.length=40000"),
    ([ROW, "recipe.nesterov=true", "recipe.momentum=0"], "nesterov=true needs .*momentum"),
    ([ROW, "recipe.prepare=zca", "recipe.std=channel"],
     "prepare=zca normalises already; set recipe.std=none"),
    ([ROW, "recipe.prepare=pca"],
     "recipe.prepare=pca is unknown; choose one of none, gcn, lcn, zca"),
    ([ROW, "recipe.contrast=0"], "recipe.contrast=0 is impossible: should be greater than 0"),
    ([ROW, "recipe.border=wrap"], "recipe.border=wrap is unknown; choose one of zero, reflect"),
    ([ROW, "recipe.whole_batches=true"], "whole_batches=true leaves images out"),
    ([ROW, "recipe.fresh_momentum=true", "recipe.schedule=plateau"],
     "fresh_momentum=true needs recipe.schedule=step"),
    (["experiment=szegedy2016_inception/table3/inception_v3", "data.size=74"],
     "data.size=74 is too small for this network: below 75"),
    ([ROW, "recipe.weight_average=1"], "recipe.weight_average=1 is impossible"),
    ([ROW, "recipe.weight_average=0.9", "recipe.statistics_batches=2"],
     "weight_average averages statistics, too; set statistics_batches=0"),
    ([ROW, "recipe.short_to=200"], "recipe.short_to=200 is impossible"),
    (["experiment=larsson2017_fractalnet/table1/fractalnet", "preset=smoke"],
     "data.size=16 is too small for model.widths=.*32 is the least"),
    ([ROW, "recipe.objective=hinge"],
     "recipe.objective=hinge is unknown; choose one of cross_entropy, squared_hinge, hints"),
    ([ROW, "recipe.objective=squared_hinge", "recipe.smoothing=0.1"],
     "smoothing=0.1 needs recipe.objective=cross_entropy"),
    ([ROW, "recipe.smoothing=1"], "recipe.smoothing=1 is impossible: should be less than 1"),
    ([ROW, "recipe.auxiliary=-1"], "recipe.auxiliary=-1 is impossible"),
    ([ROW, "recipe.max_norms=[0]"], r"recipe.max_norms.0=0.* is impossible: should be greater"),
    ([ROW, "recipe.max_norms=[1.9,1.9]"],
     "recipe.max_norms has 2 values, but the network 20 layers of weights"),
    ([ROW, "recipe.phases=[{length: 40000},{length: 20000}]"],
     "recipe.phases add up to 60000 iterations, not to recipe.length=64000"),
    ([ROW, "recipe.phases=[{length: 0}]"], "recipe.phases.0.length=0 is impossible"),
    ([ROW, "recipe.phases=[{length: 64000, rate: 1}]"], r"Unknown setting recipe.phases.0.rate."),
    ([ROW, "recipe.phases=[{length: 64000, objective: hinge}]"],
     "recipe.phases.0.objective=hinge is unknown; choose one of cross_entropy"),
    ([ROW, "recipe.phases=[{length: 64000, dropout: [0.5]}]"],
     r"dropout=\[0.5\] is of 1 layers, but the network has 0"),
    ([ROW, "recipe.phases=[{length: 64000, schedule: linear}]"],
     "phases with a schedule need their own lr"),
    ([ROW, "recipe.phases=[{length: 64000}]", "recipe.schedule=plateau"],
     "phases cannot be combined with recipe.schedule=plateau"),
    ([ROW, "recipe.phases=[{length: 32000},{length: 32000, objective: hints}]"],
     "objective=hints is for students only"),
    ([ROW, "recipe.objective=distillation"], "objective=distillation is for students only"),
    ([ROW, "recipe.auxiliary_end=1"], "auxiliary_end=1.0 and recipe.auxiliary_length=0 go"),
    ([ROW, "recipe.rule=rmsprop", "recipe.nesterov=true"],
     "rule=rmsprop needs a constant recipe.momentum without nesterov"),
    ([ROW, "recipe.step_momentum=0.9"], "epsilon and recipe.step_momentum are for rule=rmsprop"),
    ([ROW, "recipe.rule=adam"], "recipe.rule=adam is unknown; choose one of sgd, rmsprop"),
    ([ROW, "recipe.schedule=exponential"], "schedule=exponential needs recipe.lr_length"),
    ([ROW, "recipe.momentum_end=0.6"], "momentum_end=0.6 and recipe.momentum_length=0 go"),
    ([ROW, "recipe.momentum_end=0.6", "recipe.momentum_length=9", "recipe.nesterov=true"],
     "nesterov=true needs a constant recipe.momentum"),
    ([ROW, "recipe.bias_lr=0"], "recipe.bias_lr=0 is impossible: should be greater than 0"),
    (["experiment=lin2014_nin/table1/nin", "model.layers=5x192 r 1y160"],
     "model.layers='5x192 r 1y160': '1y160' is not a layer"),
    ([ROW, "recipe.decay=some"], "recipe.decay=some is unknown; choose one of weights, all"),
    ([ROW, "precision=fp8"], "precision=fp8 is unknown; choose one of tf32, fp32, bf16"),
    ([ROW, "seed=-1"], "seed=-1 is impossible"),
    ([ROW, "seed=one"], "seed='one' is impossible: should be a valid integer"),
    ([ROW, "threads=0"], "threads=0 is impossible"),
    ([ROW, "threads=100000"], "threads=100000 is impossible: should be less than or equal to"),
    ([ROW, "workers=100000"], "workers=100000 is impossible: should be less than or equal to"),
    ([ROW, "model._target_=os.system"], "no such network under models/"),
    ([ROW, "model.classes=1e30"], "model.classes=1e[+]30 is impossible"),
    ([ROW, "model._target_=models.resnet.nn"], "no such network under models/"),
    ([ROW, "data.size=0"], "data.size=0 is impossible"),
    ([ROW, "data=digits", "model.depth=60002"], "model.depth=60002 is beyond 5,000"),
    ([ROW, "data=digits", "model.depth=1000000000"], "model.depth=1000000000 is beyond 5,000"),
    ([ROW, "data=digits", "data.classes=1000000000"], "data.classes=1000000000 is impossible"),
]  # fmt: skip


def slowly(cases: Iterable[tuple]) -> list:
    return [pytest.param(*case, marks=pytest.mark.slow) for case in cases]


# As commands, too, which show how such an error ends.
COMMANDS = [*WAYS, *RUNS, SETTINGS[0], *slowly([*CONFIGS, *MORE_RUNS, *SETTINGS[9::9]])]


def is_short(message: str) -> bool:
    return 1 <= len(message.strip().splitlines()) <= 3 and "Traceback" not in message


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "cwd"]


@cache
def composed_config(*words: str, name: str = "config") -> DictConfig:
    """What Hydra makes of a row, or for eval.py of a question."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(name, list(words))


def refusal(*typed: str, name: str = "config") -> str:
    """What train.py or eval.py says of a command line before it begins to work."""
    words = for_hydra(typed)
    try:
        check_words(words)
        config = composed_config(*words, name=name)
        if name == "config":
            refuse_idle(words, read_settings(config), config)
        elif eval_options(config).run is not None:
            check_left_to_record(words)
    except (HydraException, OmegaConfBaseException) as error:
        return explain(error)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("arguments", "message"), SETTINGS, ids=lambda v: str(v[-1:]))
def test_an_impossible_setting_is_named(arguments: list[str], message: str) -> None:
    groups = [word for word in arguments if word.startswith(("experiment=", "preset=", "data="))]
    config = deepcopy(composed_config(*groups))
    for word in [word for word in arguments if word not in groups]:
        change = OverridesParser.create().parse_override(word)
        OmegaConf.update(config, change.key_or_group, change.value(), force_add=change.is_add())
    with pytest.raises(ConfigError, match=message) as refused:
        read_settings(config)
    assert is_short(str(refused.value))


@pytest.mark.parametrize(("arguments", "message"), [*WAYS, *CONFIGS], ids=lambda v: str(v[-1:]))
def test_what_cannot_be_meant_is_named(arguments: list[str], message: str) -> None:
    said = refusal(*arguments)
    assert is_short(said) and re.search(message, said), said


@pytest.mark.parametrize(("arguments", "message"), COMMANDS, ids=lambda v: str(v[-1:]))
def test_a_bad_config_is_named(
    arguments: list[str], message: str, command: Callable, tmp_path: Path
) -> None:
    ended = command("train.py", *arguments)
    assert ended.code == BAD_CONFIG
    assert is_short(ended.err), ended.err
    assert re.search(message, ended.err), ended.err
    assert not files_below(tmp_path) and not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (f"{ROW}.yaml", "leave out .yaml"),
        ("data=cifar10.yaml", "leave out .yaml"),
        ("recipe={lr:1}", "choose a file of conf/recipe, and set recipe.<name>=<value>"),
        ("recipe=[he2015,fair]", "choose a file of conf/recipe"),
        ("experiment=null", "choose a file of conf/experiment"),
        ("data=", "choose a file of conf/data"),
        ("~model", "removes a setting"),
        ("~recipe.dropout", "removes a setting"),
        ("table=he2015_residual/table6,he2015_residual/fig6", "sweeps one table"),
        ("hydra/launcher=submitit_slurm", "there is no srun here"),
        ("--epochs=3", "without dashes.* Did you mean recipe.length"),
        ("--lr=0.1", "without dashes.* Did you mean recipe.lr"),
    ],
)
def test_words_that_hydra_would_take_in_another_sense(
    word: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ConfigError, match=message):
        check_words([word])


def test_names_that_yaml_takes_for_numbers(settings_of: Callable) -> None:
    own = settings_of(ROW, "data=own", "data.name=2024", "data.classes=3", "recipe.std=255")
    assert (own.data.name, own.recipe.std) == ("2024", "255")
    assert settings_of(ROW, "output_dir=2024").output_dir == "2024"


def test_a_mistake_in_a_file_of_conf_is_named(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe" / "mine.yaml").write_text("lr:\t1\n\tx: 2\n")
    ended = command("train.py", ROW, "recipe=mine", f"--config-dir={tmp_path}")
    assert ended.code == BAD_CONFIG and is_short(ended.err), ended.err
    assert "mine.yaml" in ended.err and "'\\t'" in ended.err, ended.err


def test_missing_data_without_network(command: Callable, tmp_path: Path) -> None:
    ended = command("train.py", ROW)
    assert ended.code == BAD_DATA
    assert is_short(ended.err) and "make data DATASET=cifar10" in ended.err, ended.err
    assert not files_below(tmp_path) and not (tmp_path / "outputs").exists()


def test_a_folder_that_cannot_be_written(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ended = command("train.py", *SMOKE, OUTPUT_DIR=str(tmp_path / "file"))
    assert ended.code == BAD_CONFIG
    assert is_short(ended.err) and "cannot be written" in ended.err, ended.err
    assert "OUTPUT_DIR" in ended.err


def stop_after(steps: int) -> None:
    """Send this process SIGTERM in a step of its run."""
    from training.trainer import Trainer

    original = Trainer.train_iteration

    def step(trainer: Trainer) -> None:
        original(trainer)
        if trainer.iteration == steps:
            os.kill(os.getpid(), signal.SIGTERM)

    Trainer.train_iteration = step  # type: ignore[method-assign]


def limit_files(size: int) -> None:
    """Let no file of this process grow beyond a size in bytes, as on a disk that fills up."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def stopped_run(command: Callable, tmp_path: Path, *overrides: str) -> Path:
    """The newest checkpoint of a run that was stopped after three iterations."""
    stopped = command("train.py", *SMOKE, *overrides, before=partial(stop_after, 3))
    assert stopped.code == 75, stopped.err
    return max(tmp_path.rglob("checkpoint-*.pt"))


def test_a_full_disk_keeps_the_last_checkpoint(command: Callable, tmp_path: Path) -> None:
    checkpoint = stopped_run(command, tmp_path)
    before = checkpoint.read_bytes()
    ended = command("train.py", *SMOKE, before=partial(limit_files, 200_000))
    assert ended.code == FAILED
    assert is_short(ended.err) and "What was saved is intact" in ended.err, ended.err
    assert checkpoint.read_bytes() == before and not list(tmp_path.rglob("*.tmp"))
    assert command("train.py", *SMOKE).code == 0


def test_a_checkpoint_of_another_config_lists_what_differs(
    command: Callable, tmp_path: Path
) -> None:
    checkpoint = stopped_run(command, tmp_path, "recipe.momentum=0.8")
    # An override has a folder of its own; an edited config file has not, as is made up here.
    row = checkpoint.parents[2]
    row.rename(row.with_name(row.name.replace("+recipe.momentum=0.8", "")))
    checkpoint = max(tmp_path.rglob("checkpoint-*.pt"))
    before = checkpoint.read_bytes()
    ended = command("train.py", *SMOKE)
    assert ended.code == BAD_CONFIG
    assert is_short(ended.err) and "recipe.momentum was 0.8, is now 0.9" in ended.err, ended.err
    assert checkpoint.read_bytes() == before


def test_lost_metrics_are_named(command: Callable, tmp_path: Path) -> None:
    checkpoint = stopped_run(command, tmp_path)
    (checkpoint.parent / "metrics.csv").write_text("")
    ended = command("train.py", *SMOKE)
    assert ended.code == BAD_CONFIG
    assert is_short(ended.err) and "cannot be resumed" in ended.err, ended.err


def test_a_finished_run_of_another_config_is_not_taken_for_this_one(
    command: Callable, tmp_path: Path
) -> None:
    assert command("train.py", *SMOKE, "recipe.momentum=0.8").code == 0
    (summary,) = tmp_path.rglob("summary.json")
    # An edited config file, made up as above.
    row = summary.parents[2]
    row.rename(row.with_name(row.name.replace("+recipe.momentum=0.8", "")))
    ended = command("train.py", *SMOKE)
    assert ended.code == BAD_CONFIG
    assert is_short(ended.err) and "finished run with another configuration" in ended.err, ended.err


def test_a_damaged_summary_is_named(command: Callable, tmp_path: Path) -> None:
    assert command("train.py", *SMOKE).code == 0
    (summary,) = tmp_path.rglob("summary.json")
    summary.write_text("{")
    ended = command("train.py", *SMOKE)
    assert ended.code == BAD_CONFIG
    assert is_short(ended.err) and "summary.json is damaged" in ended.err, ended.err


def test_a_diverged_run_keeps_its_record_and_ends_with_4(command: Callable, tmp_path: Path) -> None:
    ended = command("train.py", *SMOKE, "recipe.lr=1e30")
    assert ended.code == 4, ended.err
    (summary,) = tmp_path.rglob("summary.json")
    assert '"status": "diverged"' in summary.read_text()
    assert command("train.py", *SMOKE, "recipe.lr=1e30").code == 4


def test_a_sweep_that_names_no_run(command: Callable) -> None:
    ended = command("train.py", "-m", "experiment=glob(he2015_nothing*)", "seed=0")
    assert ended.code == BAD_CONFIG and "The sweep names no run" in ended.err, ended.err


@pytest.mark.parametrize("place", [3, *slowly([(0,), (1,)])])
def test_the_flag_of_a_sweep_may_stand_anywhere(place: int, command: Callable) -> None:
    words = [ROW, "data=digits", "model.depth=7,9"]
    ended = command("train.py", *words[:place], "-m", *words[place:])
    assert ended.code == FAILED and "depth=7" in ended.err and "depth=9" in ended.err, ended.err


@pytest.mark.parametrize("flag", ["-m", "--multirun"])
def test_the_flag_of_a_sweep_comes_first_for_hydra(flag: str) -> None:
    for place in range(3):
        words = [ROW, "seed=0,1"]
        words.insert(place, flag)
        assert for_hydra(words) == [flag, ROW, "seed=0,1"]


@pytest.mark.parametrize(
    ("word", "meant"), [("--epochs", "recipe.length"), *slowly([("--lr=0.1", "recipe.lr")])]
)
def test_a_setting_with_dashes_is_refused(word: str, meant: str, command: Callable) -> None:
    ended = command("train.py", ROW, word, "3")
    assert ended.code == BAD_CONFIG and not ended.out
    assert "key=value, without dashes" in ended.err and f"Did you mean {meant}?" in ended.err
    assert ended.err.count("\n") == 1


def test_a_table_is_no_row(command: Callable) -> None:
    ended = command("train.py", "experiment=he2015_residual/table6")
    assert ended.code == BAD_CONFIG and "is a table" in ended.err
    assert "-m table=he2015_residual/table6" in ended.err


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["--help"], "experiment=he2015_residual/table6/resnet20"),
        (["--cfg", "job", ROW], "name: he2015"),
        (["--version"], r"^Residual to Dense \d+[.]\d+[.]\d+$"),
    ],
)
def test_questions_are_answered(arguments: list[str], answer: str, command: Callable) -> None:
    ended = command("train.py", *arguments)
    assert ended.code == 0 and not ended.err, ended.err
    assert re.search(answer, ended.out, re.MULTILINE), ended.out


FIELDS = {"crop": "aspect", "colour": "pca", "schedule": "plateau", "patience": "7",
          "statistics_batches": "9"}  # fmt: skip


@pytest.mark.parametrize("plus", ["", "+", "++"])
def test_every_field_is_set_with_and_without_a_plus(plus: str) -> None:
    words = for_hydra([ROW, *(f"{plus}recipe.{key}={value}" for key, value in FIELDS.items())])
    recipe = composed_config(*words).recipe
    assert {key: str(recipe[key]) for key in FIELDS} == FIELDS


@pytest.mark.parametrize("plus", ["", *slowly([("+",), ("++",)])])
def test_every_field_is_set_without_a_plus(plus: str, command: Callable) -> None:
    words = [f"{plus}recipe.{key}={value}" for key, value in FIELDS.items()]
    ended = command("train.py", "--cfg", "job", ROW, *words)
    assert ended.code == 0, ended.err
    assert all(f"  {key}: {value}" in ended.out for key, value in FIELDS.items())


def test_a_plus_changes_no_run() -> None:
    bare, plus = ["recipe.crop=aspect", "seed=1"], ["++recipe.crop=aspect", "+seed=1"]
    assert named(bare) == named(plus) == ["recipe.crop=aspect"]


def test_of_a_setting_given_twice_the_last_names_the_run() -> None:
    overrides = ["model.depth=14", "recipe.lr=0.2", "++model.depth=8"]
    assert sorted(named(overrides)) == ["model.depth=8", "recipe.lr=0.2"]


def test_what_others_call_a_setting_leads_to_ours() -> None:
    known = known_keys()
    for name, ours in SYNONYMS.items():
        assert name not in known, f"{name} is a setting of ours"
        for typed in (name, f"recipe.{name}", name.replace("_", "-"), name.upper()):
            assert nearest(typed, known) == f" Did you mean {ours}?", typed


@pytest.mark.parametrize(
    "name",
    ["a+precision=bf16", "recipe.milestones=[1,2]", "it's", 'say "so"', "a b", "a,b", "(a)", "{a}",
     "a:b", "a\\b", "a\\'b", "$a", "${a}", "ä", "a#b", "glob(x)", "null", "~a", "a\\"],
)  # fmt: skip
def test_a_path_is_taken_as_a_shell_completes_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name / "weights.safetensors"
    path.parent.mkdir()
    path.touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    for typed, meant in ((path, path), (f"~/{name}", path.parent)):
        read = OverridesParser.create().parse_override(quoted(f"weights={typed}")).value()
        # What would be resolved, Hydra leaves to OmegaConf.
        assert OmegaConf.create({"x": read}).x == str(meant)
    for word in ("weights=null", "weights=a,b", "weights=[a,b]", "output_dir=${oc.env:HOME}"):
        assert quoted(word) == word


LONG = "from records.command import guarded; exit(guarded(lambda: print('x\\n' * 10**6))())"


@pytest.mark.parametrize("words", [f'-c "{LONG}"', *slowly([("train.py --help",)])])
def test_who_has_seen_enough_is_left_alone(words: str) -> None:
    line = f"{sys.executable} {words} | head -1; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == "0" and not ended.stderr, ended.stderr


@pytest.mark.parametrize("name", ["config.yaml", "metrics.csv", "lock"])
def test_a_folder_where_a_file_should_be(name: str, command: Callable, tmp_path: Path) -> None:
    suffix = "+model.depth=8+recipe.length=6+recipe.milestones=-4"
    run = f"outputs/runs/smoke/he2015_residual/table6/resnet20{suffix}/digits/seed0"
    (tmp_path / run / name / "something").mkdir(parents=True)
    ended = command("train.py", *SMOKE)
    assert ended.code == BAD_CONFIG and is_short(ended.err), ended.err
    assert f"{run}/{name} is a folder where a file should be; remove" in ended.err
    if name == "lock":
        shutil.rmtree(tmp_path / run / name)
        assert command("train.py", *SMOKE).code == 0


LONG = "x" * 300


@pytest.mark.parametrize(
    "words",
    [
        ["train.py", *SMOKE, f"data.source={LONG}", f"data.name={LONG}"],
        ["train.py", *SMOKE, f"output_dir=/tmp/{LONG}"],
        ["train.py", ROW, "device=cpu", f"data.folder=/tmp/{LONG}"],
        ["eval.py", f"run={LONG}"],
        ["eval.py", ROW, f"weights={LONG}"],
    ],
    ids=lambda words: words[-1][:12],
)
def test_names_too_long_are_named(words: list[str], command: Callable, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    ended = command(*words)
    assert ended.code == BAD_CONFIG and is_short(ended.err), ended.err
    assert "File name too long" in ended.err and "checkpoint" not in ended.err


def test_of_a_checkpoint_speaks_only_who_has_one(command: Callable) -> None:
    arguments = ["eval.py", ROW, "data=digits", f"weights={__file__}"]
    ended = command(*arguments, before=break_the_disk)
    assert ended.code == FAILED and ended.err == "a/disk: Input/output error.\n"


def break_the_disk() -> None:
    """Have no weights be read."""
    from training.weights import members

    def fail(*_: object) -> bool:
        raise OSError(errno.EIO, "Input/output error", "a/disk")

    members.load_weights = fail


# Of texts, which Hydra can only read in quotes.
VALUES = ["a=b", "[1,2", "it's", "x(y)", "a{b", "{a"]
QUOTED = 'a"b='


@pytest.mark.parametrize("value", [*VALUES, QUOTED])
def test_advice_on_quotes_is_understood(value: str) -> None:
    said = refusal(ROW, f"data.name={value}", name="eval")
    assert is_short(said), said
    advised = shlex.split(said.partition("as well: ")[2])
    assert composed_config(*for_hydra([ROW, *advised]), name="eval").data.name == value


@pytest.mark.parametrize("value", [QUOTED, *slowly((value,) for value in VALUES)])
def test_advice_on_quotes_works_when_it_is_followed(value: str, command: Callable) -> None:
    own = [ROW, "data=own", "data.classes=2"]
    ended = command("train.py", *own, f"data.name={value}")
    assert ended.code == BAD_CONFIG and is_short(ended.err), ended.err
    advised = ended.err.partition("as well: ")[2]
    ended = command("train.py", *own, *shlex.split(advised))
    assert value in ended.err and "cannot be read" not in ended.err, ended.err


@pytest.mark.parametrize("name", ["a=b.pt", "it's.pt", "x(y).pt", "a{b", "{a", "a b", 'a"b=.pt'])
def test_a_missing_file_is_named_whatever_its_name(name: str, tmp_path: Path) -> None:
    for key in ("weights", "image", "run", "recipe.teacher"):
        config = composed_config(*for_hydra([ROW, f"{key}={tmp_path / name}"]), name="eval")
        assert str(tmp_path / name) in str(OmegaConf.select(config, key))


@pytest.mark.parametrize(
    ("script", "module"),
    [
        ("train.py", "hydra"), ("eval.py", "hydra"), ("train.py", "pydantic"),
        *(pytest.param(*other, marks=pytest.mark.slow)
          for other in (("train.py", "torch"), ("eval.py", "torch"), ("eval.py", "pydantic"))),
    ],
)  # fmt: skip
def test_ctrl_c_while_modules_are_imported_shows_no_traceback(
    script: str, module: str, tmp_path: Path
) -> None:
    (tmp_path / f"{module}.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
    )
    ended = subprocess.run(
        [sys.executable, ROOT / script, ROW], check=False, capture_output=True, text=True,
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert ended.returncode == -signal.SIGINT and not ended.stderr, ended.stderr


@pytest.mark.parametrize("name", ["OUTPUT_DIR", "RESULTS_DIR", "DATA_DIR"])
def test_a_folder_whose_name_is_no_text(name: str, command: Callable, tmp_path: Path) -> None:
    ended = command("train.py", *SMOKE, **{name: f"{tmp_path}/\udcff"})
    assert ended.code == BAD_CONFIG and is_short(ended.err), ended.err
    assert "are not UTF-8" in ended.err, ended.err


@pytest.mark.parametrize("arguments", [["hydra.run.dir=/proc/x"], ["-m", "output_dir=/proc/x"]])
def test_a_folder_that_hydra_cannot_make_is_named(arguments: list[str], command: Callable) -> None:
    ended = command("train.py", *SMOKE, *arguments)
    assert ended.code and is_short(ended.err) and "/proc/x" in ended.err, ended.err


def test_home_is_found_by_the_folder_of_a_sweep(command: Callable, tmp_path: Path) -> None:
    arguments = ["train.py", "-m", *SMOKE, "seed=-1"]  # which ends before it trains
    assert command(*arguments, HOME=str(tmp_path), OUTPUT_DIR="~/one").code == FAILED
    assert command(*arguments, "output_dir=~/two", HOME=str(tmp_path)).code == FAILED
    assert all((tmp_path / name / "multirun").is_dir() for name in ("one", "two"))
    assert not [path for path in tmp_path.rglob("*") if path.name == "~"]


def test_an_empty_variable_names_no_folder(command: Callable, tmp_path: Path) -> None:
    folders = "output_dir: outputs\nresults_dir: results"
    empty = dict.fromkeys(("OUTPUT_DIR", "RESULTS_DIR", "DATA_DIR"), "")
    ended = command("train.py", "--cfg", "job", "--resolve", *SMOKE, **empty)
    assert folders in ended.out and "folder: datasets" in ended.out


@pytest.mark.parametrize("name", ["output_dir", "results_dir", "data.folder"])
def test_an_empty_folder_is_refused(name: str, command: Callable) -> None:
    ended = command("train.py", *SMOKE, f"{name}=")
    assert ended.code == BAD_CONFIG and is_short(ended.err) and f"{name}=" in ended.err


class TestEval:
    def evaluate(self, command: Callable, weights: Path) -> str:
        ended = command("eval.py", ROW, "data=digits", f"weights='{weights}'")
        assert ended.code == BAD_CONFIG
        assert is_short(ended.err), ended.err
        return str(ended.err)

    @pytest.mark.parametrize(
        "argument", ["experiment=he2015_residual/table6/resnet56", "data=cifar100", "seed=3",
                     "recipe.mean=channel", "+model.depth=56", "preset=smoke"],
    )  # fmt: skip
    def test_beside_a_record_nothing_is_ignored(self, argument: str) -> None:
        said = refusal("run=anything", argument, name="eval")
        assert is_short(said) and f"{argument} has no effect beside run=" in said, said

    @pytest.mark.parametrize("question", ["image=x.png", "analysis=responses"])
    @pytest.mark.parametrize(
        "argument", ["protocol=ten_crop", "crop=8", "short=9", "save=true", "json=true"]
    )
    def test_one_question_at_a_time(self, question: str, argument: str) -> None:
        said = refusal("run=anything", question, argument, name="eval")
        assert is_short(said) and "has no effect beside" in said, said

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["run=[]"], r"run=\[\] is impossible"),
            (["run=123"], "run=123: no record there"),
            (["run=anything", "seed=3"], "seed=3 has no effect beside run="),
            (["run=anything", "image=x.png", "crop=8"], "has no effect beside"),
            *slowly([
                (["weights=[]"], r"weights=\[\] is impossible"),
                (["~crop"], "removes a setting"),
                (["save=perhaps"], "save='perhaps' is impossible: should be a valid boolean"),
            ]),
        ],
    )  # fmt: skip
    def test_odd_questions(self, arguments: list[str], message: str, command: Callable) -> None:
        ended = command("eval.py", *arguments)
        assert ended.code == BAD_CONFIG and is_short(ended.err), ended.err
        assert re.search(message, ended.err), ended.err

    @pytest.mark.slow  # what is damaged, test_config.py shows
    def test_a_record_whose_config_is_no_yaml(self, command: Callable, tmp_path: Path) -> None:
        for text in ("a: [1", "<<<<<<< HEAD\na: 1\n", "- 1", ""):
            (tmp_path / "config.yaml").write_text(text)
            ended = command("eval.py", f"run='{tmp_path}'")
            assert ended.code == BAD_CONFIG and "config.yaml is damaged" in ended.err, ended.err
            assert is_short(ended.err)

    def test_a_strangers_record_tells_no_secret(self, command: Callable, tmp_path: Path) -> None:
        text = next((ROOT / "results").rglob("config.yaml")).read_text(encoding="utf-8")
        secret = re.sub("source: .*", "source: ${oc.env:SECRET}", text)
        (tmp_path / "config.yaml").write_text(secret)
        ended = command("eval.py", f"run='{tmp_path}'", SECRET="the-secret")  # noqa: S106
        assert ended.code == BAD_CONFIG and "interpolation" in ended.err and is_short(ended.err)
        assert "the-secret" not in ended.out + ended.err

    def test_a_missing_file(self, command: Callable, tmp_path: Path) -> None:
        assert "No weights file" in self.evaluate(command, tmp_path / "absent.pt")

    def test_weights_of_another_network(self, command: Callable, tmp_path: Path) -> None:
        path = tmp_path / "deeper.safetensors"
        save_file(ResNet(32).state_dict(), path)
        message = self.evaluate(command, path)
        assert "another network" in message and "stages.0.3" in message

    def test_a_pickle_that_runs_code_does_not(self, command: Callable, tmp_path: Path) -> None:
        torch.save({"state_dict": Evil(tmp_path / "marker")}, tmp_path / "evil.pt")
        assert "is not a weights file" in self.evaluate(command, tmp_path / "evil.pt")
        assert not (tmp_path / "marker").exists()

    def test_nothing_to_evaluate(self, command: Callable) -> None:
        ended = command("eval.py", ROW)
        assert ended.code == BAD_CONFIG and "Give run=<record folder>" in ended.err

    def test_a_tilde_is_the_home(self, command: Callable, tmp_path: Path) -> None:
        (tmp_path / "records").mkdir()
        ended = command("eval.py", "run='~/records'", HOME=str(tmp_path))
        assert f"{tmp_path}/records: no record there" in ended.err, ended.err
        ended = command("train.py", ROW, "data=digits", "preset=smoke", "recipe.length=2",
                        "recipe.milestones=[1]", "model.depth=8", "device=cpu",
                        HOME=str(tmp_path), OUTPUT_DIR="~/out", RESULTS_DIR="~/res")  # fmt: skip
        assert ended.code == 0, ended.err
        assert (tmp_path / "out" / "runs").is_dir() and not (tmp_path / "cwd" / "~").exists()

    def test_what_the_record_decides(self, command: Callable, tmp_path: Path) -> None:
        ended = command("eval.py", f"run={tmp_path}", "model.depth=8")
        assert ended.code == BAD_CONFIG and "model.depth=8 has no effect beside run" in ended.err

    def test_a_folder_without_a_record(self, command: Callable, tmp_path: Path) -> None:
        ended = command("eval.py", f"run={tmp_path}")
        assert ended.code == BAD_CONFIG and "no record there" in ended.err
