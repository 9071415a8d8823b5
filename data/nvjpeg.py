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
Read = tuple[bytes, bool]
# The files of a batch in one tensor, so that a worker hands over three of them and not one a file:
# bytes uint8 (total,), length of each int64 (N,), and whether a GPU decodes it bool (N,).
Batch = tuple[Tensor, Tensor, Tensor]


class Files(Dataset[Read]):
    """The files of a tree by epoch and index: content, and whether a GPU decodes it."""

    def __init__(self, views: Views):
        self.tree = views.tree

    def __getitem__(self, key: Key) -> Read:
        try:
            content = (self.tree.folder / self.tree.paths[key[1]]).read_bytes()
        except OSError:
            content = b""
        return content, is_usual(content)


def joined(files: Sequence[Read]) -> Batch:
    """The files of a batch in few tensors."""
    content = bytearray(b"".join(one for one, _ in files) or b"-")  # no tensor has no bytes
    lengths = torch.tensor([len(one) for one, _ in files])
    return (
        torch.frombuffer(content, dtype=torch.uint8),
        lengths,
        torch.tensor([ok for _, ok in files]),
    )


def is_usual(content: bytes) -> bool:
    """Whether these are the bytes of a JPEG file in grey or RGB, its end included."""
    if END not in content[-64:]:
        return False
    try:
        with Image.open(io.BytesIO(content)) as image:  # which reads the header only
            return image.format == "JPEG" and image.mode in MODES
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def decoded(
    views: Views,
    batches: Iterable[Batch],
    plan: Iterable[Sequence[Key]],
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of views on the device, as the workers of `data.stream` make them on the CPU.

    Args:
        batches: files that were read; `plan`: their keys.

    Yields:
        Views uint8 (N, 3, H, W), labels int64 (N,), and int64 (N,) damaged indices or `WHOLE`.
    """
    for keys, (content, lengths, usual) in zip(plan, batches, strict=True):
        files = content[: int(lengths.sum())].split(lengths.tolist())
        chosen = [place for place, ok in enumerate(usual.tolist()) if ok]
        images = decode([files[place] for place in chosen], device)
        of_gpu = dict(zip(chosen, images, strict=True))
        seen, labels, damaged = [], [], []
        for place, key in enumerate(keys):
            image = of_gpu.get(place)
            if image is None:
                item = views[key]
            else:
                item = views.seen(key, image), int(views.tree.labels[key[1]]), WHOLE
            seen.append(item[0].to(device))
            labels.append(item[1])
            damaged.append(item[2])
        yield torch.stack(seen), torch.tensor(labels), torch.tensor(damaged)


def decode(files: list[Tensor], device: torch.device) -> list[Tensor | None]:
    """Images uint8 (3, H, W) in RGB on the device; None for a file that it does not take."""
    if not files:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return list(decode_jpeg(files, mode=ImageReadMode.RGB, device=device))
    except (torch.OutOfMemoryError, torch.AcceleratorError):
        raise
    except RuntimeError:  # which does not say of which file
        if len(files) == 1:
            return [None]
        return [image for file in files for image in decode([file], device)]


def check(device: torch.device) -> None:
    """Decode an image.

    Raises:
        RuntimeError: torchvision was built without nvJPEG, or it does not work on this device.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = encode_jpeg(torch.zeros(3, 16, 16, dtype=torch.uint8))
        decode_jpeg([image], mode=ImageReadMode.RGB, device=device)
