"""Views of the images of a folder tree: decoded, cropped and flipped, each a pure function of the
seed, the epoch and the image."""

import torch
from torch import Tensor
from torch.utils.data import Dataset

from data.order import DataError, derived_seed
from data.photographs.photographs import View, decode
from data.photographs.tree import Tree

Key = tuple[int, int]  # epoch and image
WHOLE = -1  # in place of a damaged image's index


class Views(Dataset[tuple[Tensor, int, int]]):
    """Views of the images of a tree, by epoch and index: a pure function of both and of the seed.

    An item is the view, uint8 (3, H, W), its label, and the index of a damaged image or `WHOLE`;
    the next image that is whole takes the place of a damaged one.
    """

    def __init__(self, tree: Tree, view: View, seed: int):
        self.tree, self.view, self.seed = tree, view, seed

    def __len__(self) -> int:
        return len(self.tree)

    def __getitem__(self, key: Key) -> tuple[Tensor, int, int]:
        index = key[1]
        damaged = WHOLE
        for step in range(len(self.tree)):
            chosen = (index + step) % len(self.tree)
            try:
                image = decode(self.tree.file(chosen))
            except DataError:
                damaged = index if damaged == WHOLE else damaged
                continue
            with torch.random.fork_rng([]):
                # `torch.manual_seed` would note every call for a GPU that a worker never uses.
                torch.default_generator.manual_seed(derived_seed(self.seed, *key))
                return self.view(image), int(self.tree.labels[chosen]), damaged
        raise DataError(f"{self.tree.folder} holds no image that is whole.")
