"""Kinds of panels that figures are made of: training curves, final errors, analyses of weights."""

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.colours import BLUE, RED

C10, C100 = "cifar10_aug", "cifar100_aug"


@dataclass(frozen=True)
class Curve:
    """The two curves of one network on a data set: training and test."""

    experiment: str
    label: str
    colour: str
    dataset: str = C10


@dataclass(frozen=True)
class Curves:
    """A panel of training curves, shallow to deep.

    Attributes:
        training: `train_error`, on the axis of the test error, or `train_loss`, on its own.
        limit: top of the error axis in percent, as in the paper.
        epochs: whether the horizontal axis counts epochs instead of iterations.
    """

    title: str
    curves: tuple[Curve, ...]
    training: str = "train_error"
    limit: float = 20.0
    epochs: bool = False


@dataclass(frozen=True)
class Gradients:
    """A panel of the gradient of the first convolution by epoch; the learning rate falls
    after `drops`."""

    title: str
    curves: tuple[Curve, ...]
    drops: tuple[float, ...]


@dataclass(frozen=True)
class Family:
    """Networks of one kind, which a line joins.

    Attributes:
        at: where each stands, if not at its size.
        table: where their errors are published, if not in the table of each.
    """

    label: str
    colour: str
    experiments: tuple[str, ...]
    dataset: str = C10
    at: tuple[float, ...] = ()
    table: str | None = None


@dataclass(frozen=True)
class Points:
    """A panel of test errors.

    Attributes:
        x: label of the horizontal axis: `parameters (millions)`, `multiply-adds (billions)`, or
            what the families' `at` is.
        published: whether published errors are shown beside ours.
        baseline: a network whose error is a level line, or None.
        log: whether the horizontal axis is logarithmic.
    """

    title: str
    families: tuple[Family, ...]
    x: str = "parameters (millions)"
    published: bool = False
    baseline: Curve | None = None
    log: bool = False


def pair(first: tuple[str, str], second: tuple[str, str], data: str = C10) -> tuple[Curve, ...]:
    """Two networks against each other, each by its row and label."""
    return (Curve(*first, BLUE, data), Curve(*second, RED, data))


def family(label: str, colour: str, prefix: str, depths: Sequence[int | str], *more: str) -> Family:
    """Networks whose rows differ in what follows `prefix`, and some more."""
    return Family(label, colour, (*(f"{prefix}{depth}" for depth in depths), *more))


@dataclass(frozen=True)
class Grid:
    """A panel of test errors by two settings: `experiments[i][j]` has `rows[i]`, `columns[j]`."""

    title: str
    y: str
    x: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    experiments: tuple[tuple[str, ...], ...]
    dataset: str = C10


@dataclass(frozen=True)
class Responses:
    """A panel of layer responses: in the order of the layers, or `ranked` by magnitude."""

    title: str
    curves: tuple[Curve, ...]
    ranked: bool = False


@dataclass(frozen=True)
class Reuse:
    """A panel of the weights that the layers of a dense block give to those before them."""

    title: str
    experiment: str
    block: int
    dataset: str = C10


Panel = Curves | Gradients | Points | Grid | Responses | Reuse


def parts(panel: Panel) -> list[tuple[str, tuple[str, ...], str]]:
    """Label, rows and data set of everything a panel shows."""
    if isinstance(panel, Reuse):
        return [(panel.title, (panel.experiment,), panel.dataset)]
    if isinstance(panel, Curves | Gradients | Responses):
        return [(curve.label, (curve.experiment,), curve.dataset) for curve in panel.curves]
    if isinstance(panel, Grid):
        rows = tuple(row for line in panel.experiments for row in line)
        return [(panel.title, rows, panel.dataset)]
    found = [(family.label, family.experiments, family.dataset) for family in panel.families]
    if panel.baseline is not None:
        found.append((panel.baseline.label, (panel.baseline.experiment,), panel.baseline.dataset))
    return found
