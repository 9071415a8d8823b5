"""The order and place of a network's parameters in flat storage."""

from dataclasses import dataclass

from torch import nn

from training.recipe.factors import Factors, computing, factors_of
from training.settings.recipe import Recipe

# Parameters start at multiples of this many elements, for aligned memory access.
ALIGNMENT = 64


@dataclass(frozen=True)
class Layout:
    """Where the trainable parameters of a network lie in flat storage, in elements.

    They are ordered as

        decayed | decayed, half | not decayed, half | not decayed

    so that those that decay are contiguous, and so are those that are cast. If a recipe has
    separate learning rates or decays for biases, convolutions, heads or the last layer, there are
    more than these two groups; those that are cast are still contiguous.

    Attributes:
        places: the slice of every parameter by name, in their order, padding included.
        groups: the factors of consecutive parameters that share them, and their slice.
        half: the slice of the parameters that are cast to bfloat16; may be empty.
    """

    places: dict[str, slice]
    groups: list[tuple[Factors, slice]]
    half: slice

    @property
    def size(self) -> int:
        """Elements in total."""
        return max(place.stop for place in self.places.values())


def layout_of(model: nn.Module, recipe: Recipe, *, half: bool) -> Layout:
    """Lay out the trainable parameters; with `half`, convolutions and linear layers are cast."""
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    cast = set(computing(model)) if half else set()
    factors = factors_of(model, recipe)
    first, *others = sorted(set(factors.values()), key=lambda group: (-group.decay, *group))
    kinds = [(first, False), *((g, True) for g in (first, *others)), *((g, False) for g in others)]
    order = sorted(parameters, key=lambda name: kinds.index((factors[name], name in cast)))
    places, groups, end = {}, list[tuple[Factors, slice]](), 0
    for name in order:
        begin, end = end, end - (-parameters[name].numel() // ALIGNMENT) * ALIGNMENT
        places[name] = slice(begin, end)
        if groups and groups[-1][0] == factors[name]:
            begin = groups.pop()[1].start
        groups.append((factors[name], slice(begin, end)))
    halved = [place for name, place in places.items() if name in cast]
    span = slice(halved[0].start, halved[-1].stop) if halved else slice(0, 0)
    return Layout(places, groups, span)
