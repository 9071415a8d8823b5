"""Predictions for single pictures: the likeliest classes of each."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms import v2

from data.arrays.augment import normalise
from data.photographs.photographs import STRIP, Photographs, test_view
from training.settings.types import ConfigError
from training.weights.export import WeightsError, not_finite
from training.weights.members import Loaded, Member, load_networks

TOP = 3


def seen(chosen: Sequence[Member], files: Sequence[str]) -> list[list[tuple[str, float]]]:
    """The most probable classes of each picture, by the mean softmax of all networks.

    Returns:
        For each picture, its `TOP` classes with their probabilities, the likeliest first.

    Raises:
        ConfigError: a file is not a picture.
        WeightsError: a network's output is not finite.
        WeightsError, DataError: see also `load_networks`.
    """
    pictures = [picture(Path(file)) for file in files]  # before the data set, which takes longer
    loaded = load_networks(chosen)
    return [_likeliest(loaded, each) for each in pictures]


def picture(path: Path) -> Tensor:
    """Read a picture as uint8 (3, H, W), RGB, upright: 16-bit values keep their upper 8 bits,
    transparent pixels their colour.

    Raises:
        ConfigError: the file is not a picture, is too large or a strip, or its values have no
            range.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe: reading would wait
            raise ConfigError(f"image={path}: not a file.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(path)
        with opened:
            return v2.functional.pil_to_tensor(_in_colour(path, opened))
    except Image.DecompressionBombError:
        raise ConfigError(f"image={path}: more pixels than Pillow accepts.") from None
    except (OSError, ValueError, SyntaxError, EOFError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "not a picture that Pillow can read"
        raise ConfigError(f"image={path}: {reason}.") from None


def _in_colour(path: Path, opened: Image.Image) -> Image.Image:
    """Convert an opened picture of any mode to upright RGB."""
    if max(opened.size) > STRIP * min(opened.size):  # resized, it would take all memory
        raise ConfigError(
            f"image={path}: {opened.width} x {opened.height} pixels is too narrow a strip."
        )
    upright = ImageOps.exif_transpose(opened)
    if upright.mode.startswith("I;16") or (upright.mode == "I" and opened.format == "PNG"):
        values = np.asarray(upright).astype(np.int64) >> 8  # Pillow would clip values at 255
        upright = Image.fromarray(values.astype(np.uint8))
    elif upright.mode in ("I", "F"):
        raise ConfigError(f"image={path}: its values have no known range (mode {upright.mode}).")
    return upright.convert("RGB")


def _likeliest(loaded: Loaded, image: Tensor) -> list[tuple[str, float]]:
    x = _view(image, loaded)[None].to(loaded.device)
    x = normalise(x, mean=loaded.mean, scale=loaded.scale)
    with torch.no_grad():
        logits = torch.cat([model.eval()(x) for model in loaded.models])
    if not logits.isfinite().all():
        raise WeightsError(not_finite(loaded.files[0]))
    best = logits.softmax(1).mean(0).topk(min(TOP, logits.shape[1]))
    names = [loaded.images.classes[k] for k in best.indices.tolist()]
    return list(zip(names, best.values.tolist(), strict=True))


def _view(image: Tensor, loaded: Loaded) -> Tensor:
    """The centre crop as in tests, uint8 (H, W, 3); for networks of small images the picture is
    first resized so that its short side fits."""
    size = loaded.settings.data.size
    if isinstance(loaded.images, Photographs):
        return test_view(size)(image).permute(1, 2, 0)
    small = v2.functional.resize(image, [size], antialias=True)
    return v2.functional.center_crop(small, [size, size]).permute(1, 2, 0)
