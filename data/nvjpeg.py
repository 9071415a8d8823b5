"""JPEG files decoded in batches on a GPU, by torchvision's nvJPEG.

Worker processes only read the files. What the GPU may not decode (PNG under another name, CMYK, a
file without its end) goes the usual way on the CPU, and what is damaged shows there.
"""

import io
import warnings
from collections.abc import Iterable, Iterator, Sequence

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

from data.views import WHOLE, Key, Views

END = b"\xff\xd9"  # of every whole JPEG file, padding apart
MODES = ("L", "RGB")
Read = tuple[Tensor, bool]


class Files(Dataset[Read]):
    """The files of a tree by epoch and index: bytes uint8 (n,), and whether a GPU decodes them."""

    def __init__(self, views: Views):
        self.tree = views.tree

    def __getitem__(self, key: Key) -> Read:
        try:
            content = (self.tree.folder / self.tree.paths[key[1]]).read_bytes()
        except OSError:
            content = b""
        whole = bytearray(content or b"-")  # a tensor of no bytes cannot be made
        return torch.frombuffer(whole, dtype=torch.uint8), is_usual(content)


def is_usual(content: bytes) -> bool:
    """Whether these are the bytes of a JPEG file in grey or RGB, its end included."""
    if END not in content[-64:]:
        return False
    try:
        with Image.open(io.BytesIO(content)) as image:  # which reads the header only
            return image.format == "JPEG" and image.mode in MODES
    except (OSError, ValueError, SyntaxError):
        return False


def decoded(
    views: Views,
    batches: Iterable[Sequence[Read]],
    plan: Iterable[Sequence[Key]],
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of views on the device, as the workers of `data.stream` make them on the CPU.

    Args:
        batches: files that were read; `plan`: their keys.

    Yields:
        Views uint8 (N, 3, H, W), labels int64 (N,), and int64 (N,) damaged indices or `WHOLE`.
    """
    for keys, files in zip(plan, batches, strict=True):
        usual = [key for key, (_, ok) in zip(keys, files, strict=True) if ok]
        images = decode([content for content, ok in files if ok], device)
        of_gpu = dict(zip(usual, images, strict=True)) if images else {}
        seen, labels, damaged = [], [], []
        for key in keys:
            if key in of_gpu:
                item = views.seen(key, of_gpu[key]), int(views.tree.labels[key[1]]), WHOLE
            else:
                item = views[key]
            seen.append(item[0].to(device))
            labels.append(item[1])
            damaged.append(item[2])
        yield torch.stack(seen), torch.tensor(labels), torch.tensor(damaged)


def decode(files: list[Tensor], device: torch.device) -> list[Tensor]:
    """Images uint8 (3, H, W) in RGB on the device; none where one of the files is damaged."""
    if not files:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return decode_jpeg(files, mode=ImageReadMode.RGB, device=device)
    except RuntimeError:  # which does not say of which file
        return []


def check(device: torch.device) -> None:
    """Decode an image.

    Raises:
        RuntimeError: torchvision was built without nvJPEG, or it does not work on this device.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = encode_jpeg(torch.zeros(3, 16, 16, dtype=torch.uint8))
        decode_jpeg([image], mode=ImageReadMode.RGB, device=device)
