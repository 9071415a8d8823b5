"""What a step minimises: from what a network puts out and the labels to a loss."""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor

from training.settings.recipe import Phase, Recipe

Outputs = Tensor | tuple[Tensor, ...]  # logits, or (logits, *extras) in training mode
# Gives the loss, which is a mean over the images, and the logits (N, classes) that predict.
Objective = Callable[[Outputs, Tensor], tuple[Tensor, Tensor]]
Term = Callable[[Tensor, Tensor], Tensor]
TEMPERATURE = 3.0  # Romero et al. 2015, Section 3.2


def cross_entropy(outputs: Outputs, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The cross-entropy of the logits; extras, where there are any, have no say."""
    logits = logits_of(outputs).float()
    return F.cross_entropy(logits, labels), logits


def objective_of(
    recipe: Recipe, phase: Phase | None = None, weight: Tensor | None = None
) -> Objective:
    """The objective that a recipe names, in one of its phases.

    Every one of a network's outputs is a classifier's logits (N, classes), and has a term; the
    terms of the extras count `auxiliary` times (Szegedy et al. 2015, Section 5; Lee et al. 2015,
    eq. 3). Of a student's outputs `hints` and `distillation` say what they count for.

    Args:
        weight: what `auxiliary` is now, where it changes within a run: a tensor (). It is read by
            distillation only.
    """
    auxiliary, name = recipe.auxiliary, recipe.objective
    if phase is not None:
        auxiliary = auxiliary if phase.auxiliary is None else phase.auxiliary
        name = phase.objective or name
    if name == "hints":
        return hints
    if name == "distillation":
        return partial(distillation, auxiliary if weight is None else weight)
    if name == "squared_hinge":
        return partial(weighted, squared_hinge, auxiliary)
    if not auxiliary and not recipe.smoothing:
        return cross_entropy
    term = partial(F.cross_entropy, label_smoothing=recipe.smoothing)
    return partial(weighted, term, auxiliary)


def weighted(
    term: Term, auxiliary: float, outputs: Outputs, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """The term of the logits, and `auxiliary` times those of all extras."""
    logits = logits_of(outputs).float()
    loss = term(logits, labels)
    if auxiliary and isinstance(outputs, tuple):
        for extra in outputs[1:]:
            loss = loss + auxiliary * term(extra.float(), labels)
    return loss, logits


def hints(outputs: Outputs, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Half the squared difference between what a student's regressor makes and its teacher's hint,
    summed over rows of the maps and averaged over all else (Romero et al. 2015, eq. 3; code)."""
    logits, regressed, _, hint = outputs
    difference = regressed.float() - hint.float()
    return 0.5 * difference.square().sum(2).mean(), logits.detach().float()


def distillation(weight: float | Tensor, outputs: Outputs, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The cross-entropy with the labels, and `weight` times that with what the teacher says
    (Romero et al. 2015, eq. 2)."""
    logits, taught = outputs[0].float(), outputs[2].float()
    return F.cross_entropy(logits, labels) + weight * softened(logits, taught), logits


def softened(logits: Tensor, taught: Tensor) -> Tensor:
    """Mean cross-entropy of a student with its teacher, both at temperature 3."""
    shares = F.softmax(taught / TEMPERATURE, 1)
    return -(shares * F.log_softmax(logits / TEMPERATURE, 1)).sum(1).mean()


def squared_hinge(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean over the images of the sum over classes of max(0, 1 - t s)^2, where t is 1 for the
    label's score and -1 for all others (Lee et al. 2015, eq. 2)."""
    signs = 2.0 * F.one_hot(labels, scores.shape[1]) - 1
    return F.relu(1 - signs * scores).square().sum(1).mean()


def logits_of(outputs: Outputs) -> Tensor:
    """The logits that predict: all of the outputs, or the first."""
    return outputs[0] if isinstance(outputs, tuple) else outputs
