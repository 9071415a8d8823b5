"""The network that a student learns from, read from a weights file exported by this suite."""

import inspect
import json
from pathlib import Path

import torch

from models.maxout import MaxoutNetwork
from training.settings.network import model_arguments, model_class
from training.settings.settings import Settings
from training.settings.types import ConfigError
from training.weights.description import DAMAGED, description
from training.weights.export import load_weights

ROW = "goodfellow2013_maxout/table3/maxout"


def read_teacher(settings: Settings, device: torch.device) -> MaxoutNetwork:
    """Load the network of `recipe.teacher` and its weights, built as its file describes.

    Raises:
        ConfigError: there is no such file, or it holds no Maxout network for these classes and
            sizes.
        WeightsError: it is damaged.
    """
    path = Path(settings.recipe.teacher)
    if not settings.recipe.teacher or not path.is_file():
        raise ConfigError(
            f"recipe.teacher={path} is missing; train it first (experiment={ROW} "
            f"data={settings.data.name} preset={settings.preset.name} seed={settings.seed}), or "
            "name another file of weights: recipe.teacher=FILE."
        )
    described = description(path).get("model", DAMAGED)
    model = {} if described == DAMAGED else json.loads(described)
    if not model or model_class(model) is not MaxoutNetwork:
        raise ConfigError(f"recipe.teacher={path} is not a Maxout network of this suite.")
    given = inspect.signature(MaxoutNetwork).bind(**model_arguments(model))
    given.apply_defaults()  # which a description leaves out
    with torch.random.fork_rng([]):
        teacher = MaxoutNetwork(*given.args, **given.kwargs)
    stated = given.arguments["classes"], given.arguments["size"]
    expected = settings.data.classes, settings.data.size
    if stated != expected:
        raise ConfigError(
            f"recipe.teacher={path} is for {stated[0]} classes and {stated[1]} pixels, not for "
            f"{expected[0]} and {expected[1]}."
        )
    load_weights(teacher, path)
    return teacher.to(device).to(memory_format=torch.channels_last)
