"""Colour augmentation of whole batches on the device; random numbers are drawn beforehand."""

import torch
from torch import Tensor

# Principal components of ImageNet's pixel colours and their standard deviations, scale 0 to 1
# (fb.resnet.torch, imagenet.lua; after Krizhevsky et al. 2012, Section 4.1).
DEVIATIONS = (0.2175, 0.0188, 0.0045)
COMPONENTS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)
GREY = (0.299, 0.587, 0.114)
LIGHTING, JITTER = 0.1, 0.4
# Random numbers per image: three lighting coefficients, three factors (brightness, contrast,
# saturation) and the order in which these are applied.
DRAWN = 9


def draw(images: int, *, seed: int) -> Tensor:
    """Draw the random numbers of a batch: float32 (images, 9), see `DRAWN`."""
    generator = torch.Generator().manual_seed(seed)
    lighting = LIGHTING * torch.randn(images, 3, generator=generator)
    factors = 1 + JITTER * (2 * torch.rand(images, 3, generator=generator) - 1)
    order = torch.rand(images, 3, generator=generator).argsort(1)
    return torch.cat([lighting, factors, order.float()], 1)


class Recolour:
    """Colour augmentation of batches.

    Args:
        kind: `pca` adds multiples of the principal components (Krizhevsky et al. 2012, Section 4.1;
            He et al. 2015, Section 3.4); `jitter` first changes brightness, contrast and saturation
            in random order (fb.resnet.torch, transforms.lua); `none`.
        device: device of the batches; the constants are copied there once, because a captured step
            cannot copy them.
    """

    def __init__(self, kind: str, device: torch.device):
        self.kind = kind
        self.components = torch.tensor(COMPONENTS, device=device)
        self.deviations = torch.tensor(DEVIATIONS, device=device)
        self.grey = torch.tensor(GREY, device=device)

    def __call__(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Augment a batch.

        Args:
            images: float32 (N, H, W, 3), 0 to 255.
            drawn: rows of `draw`.
        """
        if self.kind == "none":
            return images
        lighting, factors, order = drawn[:, :3], drawn[:, 3:6], drawn[:, 6:].long()
        if self.kind == "jitter":
            for step in range(3):
                images = self._blend(images, factors, order[:, step])
        shift = 255 * (lighting * self.deviations) @ self.components.T
        return images + shift[:, None, None, :]

    def _blend(self, images: Tensor, factors: Tensor, which: Tensor) -> Tensor:
        """Blend every image with black, its mean grey or its greyscale version (0, 1, 2)."""
        grey = (images * self.grey).sum(-1, keepdim=True)
        which = which[:, None, None, None]
        target = torch.where(which == 1, grey.mean((1, 2), keepdim=True), grey)
        target = torch.where(which == 0, torch.zeros_like(target), target)
        factor = factors.gather(1, which.flatten()[:, None])[:, :, None, None]
        return factor * images + (1 - factor) * target
