"""A network together with the normalisation that it was trained with."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Classifier(nn.Module):
    """Classifies RGB images of the size of its mean image.

    Its check of the images' range reads them, which tracing, `torch.vmap` and meta tensors do not
    allow: for these, use `network`, which takes `255 * images - mean`.

    Args:
        mean: mean training image, scale 0 to 255, (1, 3, H, W).
        classes: class names, in the order of the logits.
    """

    mean: Tensor

    def __init__(self, network: nn.Module, mean: Tensor, classes: Sequence[str]):
        super().__init__()
        self.register_buffer("mean", mean, persistent=False)
        self.network, self.classes = network, classes

    def forward(self, images: Tensor) -> Tensor:
        """Map RGB images in [0, 1], (N, 3, H, W), to logits (N, classes).

        Raises:
            TypeError: the images are integers, so presumably 0 to 255.
            ValueError: they have another shape, or a value outside [0, 1].
        """
        if not images.is_floating_point():
            raise TypeError(f"Images are floats from 0 to 1, not {images.dtype}: divide by 255.")
        if images.dim() != 4 or images.shape[1:] != self.mean.shape[1:]:
            size = ", ".join(map(str, self.mean.shape[1:]))
            raise ValueError(f"Images are (N, {size}), not {tuple(images.shape)}.")
        if not torch.compiler.is_compiling() and len(images):  # a graph cannot read values
            low, high = images.aminmax()
            if not (low >= 0) & (high <= 1):
                raise ValueError("Images are RGB from 0 to 1, without any normalisation.")
        return self.network(images * 255 - self.mean)
