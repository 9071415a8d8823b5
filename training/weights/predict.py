"""What a network sees in single pictures: the likeliest classes of each."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from data.arrays.augment import normalise
from data.photographs.photographs import Photographs, test_view
from training.settings.settings import ConfigError
from training.weights.ensemble import Loaded, Member, load_networks

TOP = 3


def seen(chosen: Sequence[Member], files: Sequence[str]) -> list[list[tuple[str, float]]]:
    """The classes of highest probability (mean softmax of all networks) in each picture.

    Returns:
        Of each picture its `TOP` classes with their probabilities, the likeliest first.

    Raises:
        ConfigError: a file is no picture.
        WeightsError, DataError: see `load_networks`.
    """
    pictures = [picture(Path(file)) for file in files]  # before the data set, which takes longer
    loaded = load_networks(chosen)
    return [_likeliest(loaded, each) for each in pictures]


def picture(path: Path) -> Tensor:
    """A picture of any mode as uint8 (3, H, W), RGB.

    Raises:
        ConfigError: the file is none.
    """
    try:
        with Image.open(path) as opened:
            return v2.functional.pil_to_tensor(opened.convert("RGB"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no picture that Pillow reads"
        raise ConfigError(f"image={path}: {reason}.") from None


def _likeliest(loaded: Loaded, image: Tensor) -> list[tuple[str, float]]:
    mean, scale = loaded.normalisation()
    x = normalise(_view(image, loaded)[None].to(loaded.device), mean=mean, scale=scale)
    with torch.no_grad():
        logits = torch.cat([model.eval()(x) for model in loaded.models])
    best = logits.softmax(1).mean(0).topk(min(TOP, logits.shape[1]))
    names = [loaded.images.classes[k] for k in best.indices.tolist()]
    return list(zip(names, best.values.tolist(), strict=True))


def _view(image: Tensor, loaded: Loaded) -> Tensor:
    """The centre as test images are seen, uint8 (H, W, 3); of small images the short side fills
    it."""
    size = loaded.settings.data.size
    if isinstance(loaded.images, Photographs):
        return test_view(size)(image).permute(1, 2, 0)
    small = v2.functional.resize(image, [size], antialias=True)
    return v2.functional.center_crop(small, [size, size]).permute(1, 2, 0)
