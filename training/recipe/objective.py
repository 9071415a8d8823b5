"""Training objectives: from a network's outputs and the labels to a loss."""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor

from training.settings.recipe import Phase, Recipe

Outputs = Tensor | tuple[Tensor, ...]  # logits, or (logits, *extras) in training mode
# Returns the loss, a mean over the images, and the logits (N, classes) used for prediction.
Objective = Callable[[Outputs, Tensor], tuple[Tensor, Tensor]]
Term = Callable[[Tensor, Tensor], Tensor]
TEMPERATURE = 3.0  # Romero et al. 2015, supplement, A.1.2


def cross_entropy(outputs: Outputs, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the logits; extra outputs are ignored."""
    logits = logits_of(outputs).float()
    return F.cross_entropy(logits, labels), logits


def objective_of(
    recipe: Recipe, phase: Phase | None = None, moving: Tensor | None = None
) -> Objective:
    """Return the objective of a recipe, or of one of its phases.

    Each output of a network is a classifier's logits (N, classes) and has a term; the terms of the
    extras are weighted by `auxiliary` (Szegedy et al. 2015, Section 5; Lee et al. 2015, eq. 3).
    For the outputs of a student, see `hints` and `distillation`.

    Args:
        moving: current value of `auxiliary` where it changes within a run, a tensor ().
    """
    auxiliary, name = recipe.auxiliary, recipe.objective
    if phase is not None:
        auxiliary = auxiliary if phase.auxiliary is None else phase.auxiliary
        name = phase.objective or name
    weight = auxiliary if moving is None else moving
    if name == "hints":
        return hints
    if name == "distillation":
        return partial(distillation, weight)
    if name == "squared_hinge":
        return partial(weighted, squared_hinge, weight)
    if not _counts(weight) and not recipe.smoothing:
        return cross_entropy
    term = partial(F.cross_entropy, label_smoothing=recipe.smoothing)
    return partial(weighted, term, weight)


def weighted(
    term: Term, weight: float | Tensor, outputs: Outputs, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Term of the logits plus `weight` times the terms of all extra outputs."""
    logits = logits_of(outputs).float()
    loss = term(logits, labels)
    if _counts(weight) and isinstance(outputs, tuple):
        for extra in outputs[1:]:
            loss = loss + weight * term(extra.float(), labels)
    return loss, logits


def _counts(weight: float | Tensor) -> bool:
    """Whether a weight can differ from 0; a tensor is not read, which would wait for the device."""
    return isinstance(weight, Tensor) or weight != 0


def hints(outputs: Outputs, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Half the squared difference between a student's regressor output and its teacher's hint,
    summed over the rows of the feature maps and averaged over everything else (Romero et al. 2015,
    eq. 3; code)."""
    logits, regressed, _, hint = outputs
    difference = regressed.float() - hint.float()
    return 0.5 * difference.square().sum(2).mean(), logits.detach().float()


def distillation(weight: float | Tensor, outputs: Outputs, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy with the labels plus `weight` times that with the teacher's softened output
    (Romero et al. 2015, eq. 2)."""
    logits, taught = outputs[0].float(), outputs[2].float()
    return F.cross_entropy(logits, labels) + weight * softened(logits, taught), logits


def softened(logits: Tensor, taught: Tensor) -> Tensor:
    """Mean cross-entropy between a student and its teacher, both at temperature 3."""
    shares = F.softmax(taught / TEMPERATURE, 1)
    return -(shares * F.log_softmax(logits / TEMPERATURE, 1)).sum(1).mean()


def squared_hinge(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean over the images of the sum over classes of max(0, 1 - t s)^2, where t is 1 for the
    label's score and -1 for all others (Lee et al. 2015, eq. 2)."""
    signs = 2.0 * F.one_hot(labels, scores.shape[1]) - 1
    return F.relu(1 - signs * scores).square().sum(1).mean()


def logits_of(outputs: Outputs) -> Tensor:
    """The logits used for prediction: the first output if there are several."""
    return outputs[0] if isinstance(outputs, tuple) else outputs
