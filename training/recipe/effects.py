"""Rejects overrides that have no effect given the other settings: two runs that differ only in name
would pass for an ablation."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn

from models.inception import Auxiliary
from models.resnet import ResNet
from training.recipe.factors import HEADS
from training.settings.checks import OF_STUDENTS
from training.settings.network import model_class, outline
from training.settings.recipe import Phase
from training.settings.settings import Settings
from training.settings.types import ConfigError

# What gives settings of a group an effect, in words; whether it holds; which settings.
Condition = tuple[str, bool, tuple[str, ...]]
# Recipe settings that only some networks use, and those that a phase may replace by its own.
FOR_NETWORKS = ("init", "dropout", "deviations")
OF_PHASES = ("lr", "schedule", "momentum", "objective", "dropout")


def refuse_idle(overrides: Sequence[str], settings: Settings, config: DictConfig) -> None:
    """Raise a ConfigError for an override of the recipe, the data or a ResNet without effect,
    unless the value is off or the default, as in a sweep.

    Args:
        overrides: as typed, `key=value`.
        config: what `settings` were read from; its model group shows which settings it takes from
            the recipe.
    """
    bare = [override.lstrip("+") for override in overrides]
    typed = {override.partition("=")[0]: override for override in bare}
    for key, remedy in idle(settings, config):
        if key in typed and not _is_off(settings, key):
            raise ConfigError(f"{typed[key]} has no effect without {remedy}; leave it out.")


def idle(settings: Settings, config: DictConfig) -> Iterator[tuple[str, str]]:
    """Yield the full names of settings that have no effect, each with what would give it one."""
    groups: dict[str, list[Condition]] = {
        "recipe": [*_in_recipe(settings), *_by_network(settings, config)],
        "model": _in_resnet(settings.model) if model_class(settings.model) is ResNet else [],
        "data": [("recipe.crop=pad", settings.recipe.crop == "pad", ("pad", "flip"))],
    }
    if settings.recipe.crop == "pad":
        yield "damaged", "photographs"
    for group, conditions in groups.items():
        for remedy, has_effect, names in conditions:
            if not has_effect:
                yield from ((f"{group}.{name}", remedy) for name in names)


def _in_recipe(settings: Settings) -> list[Condition]:
    """Conditions on recipe settings that depend on the rest of the recipe and the data."""
    recipe = settings.recipe
    phases = recipe.phases or (Phase(recipe.length),)
    schedules = {phase.schedule or recipe.schedule for phase in phases}
    objectives = {phase.objective or recipe.objective for phase in phases}
    weighing = [p for p in phases if (p.objective or recipe.objective) != "hints"]
    drops = "step" in schedules and (recipe.lr_factor < 1 or recipe.fresh_momentum)
    falls = bool(schedules & {"plateau", "linear", "exponential"}) or (
        "step" in schedules and bool(recipe.milestones)
    )
    return [
        *(("a phase that leaves it to the recipe",
           any(getattr(phase, name) is None for phase in phases), (name,)) for name in OF_PHASES),
        ("a phase that leaves it to the recipe",
         any(phase.auxiliary is None for phase in weighing), ("auxiliary",)),
        ("an objective with a weight", bool(weighing), ("auxiliary_end", "auxiliary_length")),
        ("cross-entropy as an objective", "cross_entropy" in objectives, ("smoothing",)),
        ("recipe.weight_decay above 0", recipe.weight_decay > 0, ("decay", "last_decay")),
        ("recipe.milestones", bool(recipe.milestones), ("fresh_momentum",)),
        ("recipe.schedule=plateau", "plateau" in schedules, ("patience",)),
        ("recipe.schedule=polynomial", "polynomial" in schedules, ("lr_power",)),
        ("recipe.schedule=linear, polynomial or exponential",
         bool(schedules & {"linear", "polynomial", "exponential"}), ("lr_length",)),
        ("recipe.schedule=step and a recipe.lr_factor below 1", drops, ("milestones",)),
        ("recipe.milestones or a recipe.schedule other than step and polynomial",
         falls, ("lr_factor",)),
        ("recipe.warmup_iterations", recipe.warmup_iterations > 0, ("warmup_lr",)),
        ("recipe.prepare=gcn, lcn or zca", recipe.prepare != "none", ("contrast",)),
        ("recipe.crop=scale", recipe.crop == "scale", ("short_to",)),
        ("data.pad above 0", settings.data.pad > 0, ("border", "translate")),
        ("a student (recipe.objective=hints or distillation)",
         bool(objectives.intersection(OF_STUDENTS)), ("teacher",)),
    ]  # fmt: skip


def _by_network(settings: Settings, config: DictConfig) -> list[Condition]:
    """Conditions on recipe settings that depend on the network."""
    network, written = outline(settings.model), OmegaConf.to_yaml(config.model)
    heads = any(name.startswith(HEADS) for name, _ in network.named_parameters())
    extras = heads or any(isinstance(module, Auxiliary) for module in network.modules())
    norms = any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    return [
        ("a network with heads (model=dsn)", heads, ("head_lr", "head_fall")),
        ("a network with more outputs than its logits", extras,
         ("auxiliary", "auxiliary_end", "auxiliary_length")),
        ("a network with batch normalisation", norms, ("statistics_batches",)),
        *((f"a network that takes its {name} from the recipe",
           f"${{recipe.{name}}}" in written, (name,)) for name in FOR_NETWORKS),
    ]  # fmt: skip


def _in_resnet(model: dict[str, Any]) -> list[Condition]:
    """Conditions on arguments of `ResNet` that depend on its other arguments."""
    arguments = _defaults(ResNet) | model
    shortcut, projects = arguments["shortcut"], arguments["match"].startswith("project")
    return [
        ("model.survival below 1", arguments["survival"] < 1, ("survival_rule",)),
        ("model.unit=bottleneck", arguments["unit"] == "bottleneck", ("stride_on",)),
        ("a pre-activation model.order", "preact" in arguments["order"], ("share_preact",)),
        ("a model.shortcut", shortcut != "none", ("match",)),
        ("model.match=project or project_all", projects, ("projection_norm",)),
        ("model.shortcut=scale", shortcut == "scale", ("scale_shortcut", "scale_branch")),
        ("a gate as model.shortcut", "gate" in shortcut, ("gate_bias", "gate_norm")),
        ("model.shortcut=dropout", shortcut == "dropout", ("shortcut_dropout",)),
    ]


def _defaults(kind: type) -> dict[str, Any]:
    parameters = inspect.signature(kind).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _is_off(settings: Settings, key: str) -> bool:
    """Whether a setting is off or at its default."""
    group, _, name = key.rpartition(".")
    if group == "model":
        return bool(settings.model[name] == _defaults(model_class(settings.model))[name])
    owner = getattr(settings, group) if group else settings
    value = getattr(owner, name)
    return not value or value == getattr(type(owner), name, None)
