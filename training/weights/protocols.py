"""The papers' test protocols on photographs: one crop or many, several scales; one network or an
ensemble.

Every protocol averages the class probabilities (softmax) of all views, then those of all networks.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate
from torchvision.transforms import v2

from data.arrays.augment import normalise
from data.photographs.photographs import CROP as USUAL
from data.photographs.photographs import SHORT, read_image, test_view
from data.photographs.stream import LATER_SECONDS
from data.photographs.tree import Tree
from data.photographs.workers import delivered, make_loader

# Short sides in pixels, for crops of 224: He et al. 2015, Section 3.4; Simonyan and Zisserman 2015,
# Section 4.2, for networks trained at 256 to 512; Szegedy et al. 2015, Section 7.
SCALES = (224, 256, 384, 480, 640)
DENSE = (256, 384, 512)
SQUARES = (256, 288, 320, 352)
BATCH = 50  # images with a single view
Views = list[Tensor]  # uint8 (V, H, W, 3), one tensor per size of view


def single(image: Tensor, size: int, short: int | None) -> Views:
    """The centre crop."""
    return [_rows(test_view(size, short)(image)[None])]


def ten_crop(image: Tensor, size: int, short: int | None) -> Views:
    """Four corners and the centre, each with its mirror image (Krizhevsky et al. 2012)."""
    resized = v2.functional.resize(image, [short or round(SHORT * size / USUAL)])
    resized = _padded(resized, size)
    crops = torch.stack(v2.functional.five_crop(resized, [size, size]))
    return [_rows(torch.cat([crops, crops.flip(-1)]))]


def multi_scale(image: Tensor, size: int, short: int | None) -> Views:
    """The whole image at five scales; global average pooling makes the network fully convolutional
    (He et al. 2015, Section 3.4 and Table 4)."""
    sides = [round(side * size / USUAL) for side in SCALES]
    return [_rows(v2.functional.resize(image, [side])[None]) for side in sides]


def dense(image: Tensor, size: int, short: int | None) -> Views:
    """The whole image and its mirror image at three scales, for networks applied densely (Simonyan
    and Zisserman 2015, Sections 3.2 and 4.2)."""
    sides = [round(side * size / USUAL) for side in DENSE]
    resized = [v2.functional.resize(image, [side]) for side in sides]
    return [_rows(torch.stack([view, view.flip(-1)])) for view in resized]


def crops_144(image: Tensor, size: int, short: int | None) -> Views:
    """At each of four scales, three squares (at both ends and in the middle); of each, its four
    corners, its centre and the resized square itself, all with their mirror images (Szegedy et al.
    2015, Section 7)."""
    views = []
    for side in (round(side * size / USUAL) for side in SQUARES):
        resized = v2.functional.resize(image, [side])
        height, width = resized.shape[-2:]
        for part in range(3):
            top, left = (height - side) * part // 2, (width - side) * part // 2
            square = resized[:, top : top + side, left : left + side]
            views += [*v2.functional.five_crop(square, [size, size])]
            views.append(v2.functional.resize(square, [size, size]))
    crops = torch.stack(views)
    return [_rows(torch.cat([crops, crops.flip(-1)]))]


PROTOCOLS: dict[str, Callable[[Tensor, int, int | None], Views]] = {
    "single": single,
    "ten_crop": ten_crop,
    "multi_scale": multi_scale,
    "dense": dense,
    "crops_144": crops_144,
}
# Images per batch: in some protocols they differ in size, or have many views.
AT_ONCE = {"ten_crop": 5, "multi_scale": 1, "dense": 1, "crops_144": 3}


@dataclass(frozen=True)
class Result:
    """Errors in percent (top-5 only for photographs of more than five classes) and mean negative
    log-likelihood, over `images` images."""

    top1: float
    top5: float | None
    loss: float
    images: int

    def __str__(self) -> str:
        top5 = "" if self.top5 is None else f"top-5 error {self.top5:.2f} %, "
        return f"top-1 error {self.top1:.2f} %, {top5}loss {self.loss:.4f}"


class ImageViews(Dataset[tuple[Views, int]]):
    """The views of every image of a tree, with its label."""

    def __init__(self, tree: Tree, protocol: str, size: int, short: int | None):
        self.tree, self.make = tree, PROTOCOLS[protocol]
        self.size, self.short = size, short

    def __len__(self) -> int:
        return len(self.tree)

    def __getitem__(self, index: int) -> tuple[Views, int]:
        image = read_image(self.tree, index, LATER_SECONDS)
        return self.make(image, self.size, self.short), int(self.tree.labels[index])


@torch.no_grad()
def evaluate_photographs(
    models: Sequence[nn.Module],
    tree: Tree,
    protocol: str,
    *,
    size: int,
    short: int | None,
    mean: Tensor,
    scale: Tensor,
    workers: int,
) -> Result:
    """Test a network, or several as an ensemble, on a tree of photographs.

    Args:
        size: of a crop, in pixels.
        short: of the short side before cropping, in pixels; None for 256 / 224 of `size`.
        mean, scale: see `data.arrays.augment.normalise`.

    Raises:
        DataError: an image is damaged.
    """
    views = ImageViews(tree, protocol, size, short)
    wrong1 = wrong5 = loss = 0.0
    for batch, labels in batches(views, workers, AT_ONCE.get(protocol, BATCH)):
        scores = probabilities(models, batch, mean, scale).cpu()
        ranked = scores.topk(min(5, scores.shape[1])).indices
        right = ranked == labels[:, None]
        wrong1 += float((~right[:, 0]).sum())
        wrong5 += float((~right.any(1)).sum())
        loss -= float(scores.gather(1, labels[:, None]).clamp_min(1e-30).log().sum())
    count = len(tree)
    top5 = 100 * wrong5 / count if len(tree.classes) > 5 else None
    return Result(100 * wrong1 / count, top5, loss / count, count)


def probabilities(
    models: Sequence[nn.Module], groups: Sequence[Tensor], mean: Tensor, scale: Tensor
) -> Tensor:
    """Class probabilities (N, classes), averaged over views and networks.

    Args:
        groups: uint8 (N, V, H, W, 3), one tensor per size of view.
    """
    total, count = torch.zeros((), device=mean.device), 0
    for group in groups:
        images, of_each = len(group), group.shape[1]
        x = normalise(group.flatten(0, 1).to(mean.device), mean=mean, scale=scale)
        for model in models:
            scores = model.eval()(x).float().softmax(1)
            total = total + scores.view(images, of_each, -1).sum(1)
        count += of_each * len(models)
    return total / count


def batches(views: ImageViews, workers: int, at_once: int) -> Iterator[tuple[list[Tensor], Tensor]]:
    """Views (N, V, H, W, 3) and labels (N,) of `at_once` images at a time."""
    arriving = delivered(make_loader(views, workers, batch_size=None))
    # Stacked here, not by workers: in some protocols a batch takes gigabytes of shared memory.
    while some := list(islice(arriving, at_once)):
        yield default_collate(some)


def _rows(images: Tensor) -> Tensor:
    """(V, 3, H, W) as (V, H, W, 3)."""
    return images.permute(0, 2, 3, 1).contiguous()


def _padded(image: Tensor, size: int) -> Tensor:
    """Pad an image that is smaller than a crop, as `CenterCrop` does."""
    height, width = image.shape[-2:]
    more = [max(0, size - width), max(0, size - height)]
    if not any(more):
        return image
    left, top = more[0] // 2, more[1] // 2
    return v2.functional.pad(image, [left, top, more[0] - left, more[1] - top])
